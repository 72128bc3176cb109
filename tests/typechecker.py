"""What checks shapes and types of every call of the package while it is tested; jaxtyping installs it."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as Python's typing has it
