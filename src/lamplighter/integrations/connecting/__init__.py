"""From a person's consent to tokens, and back: connect and disconnect."""
