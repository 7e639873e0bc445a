"""Alerts on the service's own figures: what is bad now, for how long, and who is told, without any other system.

    rules (a file) + sight (what is looked at) -> kinds: what is bad now -> course: pending, firing, resolved
                                               -> board: one transition for all processes -> post: messages to operators

Everything up to the board is a pure function. Whatever process has the app open may look; several may do so at once.
"""
