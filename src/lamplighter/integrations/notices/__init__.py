"""People are told what happens to integrations: a notice, its recipients, and the messages that reach them.

    notice -> address: deliveries -> compose: messages, one each or a digest -> deliver: a mail, a webhook call, a push

Each arrow is a step of its own that may be killed at any point, and is taken up again by any process.
"""
