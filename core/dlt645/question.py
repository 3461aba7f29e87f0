"""What is said most often on any line, in one call for each end: 11H to one meter, answered with one register.

Addresses, identifiers and register steps are whole numbers here, so that a meter that has many questions to answer
makes no frame, no text and no bytes between the question and its answer. Whatever is not such a question, or does not
fit into such an answer, gives None and goes by `core.dlt645.frame`, which knows everything.
"""

from core._frame import read_question, write_register

__all__ = ["read_question", "write_register"]
