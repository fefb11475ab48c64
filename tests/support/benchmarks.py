"""Reading what a benchmark prints."""

HEADER = ["machine", "versions", "commit", "date", "command", "HiFi-GAN", "input"]


def parts(printed):
    """The header, and the cells of the table after its head."""
    lines = printed.splitlines()
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("- "))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return header, rows[0], rows[2:]
