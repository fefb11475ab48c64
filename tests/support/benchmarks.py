"""Parse the tables that benchmarks print."""

HEADER = ["machine", "versions", "commit", "date", "command", "HiFi-GAN", "input"]


def parts(printed):
    """Return the header, the column names, and the cells of the rows."""
    lines = printed.splitlines()
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("- "))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return header, rows[0], rows[2:]
