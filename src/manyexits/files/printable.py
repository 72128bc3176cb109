"""Text that a terminal only shows: files and their names may hold anything, and messages quote them."""


def printable(text: str) -> str:
    """The text with every letter escaped that a terminal would act upon, such as an escape code or a line's end."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
