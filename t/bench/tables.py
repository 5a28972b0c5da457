"""Prints results as tables."""


def thousands(value):
    """1234567 as "1,235 k", 1234 as "1,234"."""
    if value >= 10000:
        return f"{value / 1000:,.0f} k" if value >= 1e5 \
            else f"{value / 1000:,.1f} k"
    return f"{value:,.0f}"


def ratio(value, base):
    """The ratio of a value to the base."""
    return f"{value / base:.2f}" if base else "-"


def kilobytes(value):
    """1234 as "1.23 KB", 12345 as "12.3 KB"."""
    return f"{value / 1000:.2f} KB" if value < 10000 \
        else f"{value / 1000:.1f} KB"


def size_name(size):
    """16384 as "16 KiB"."""
    for factor, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    return f"{size} B"


def print_table(title, head, rows, notes=()):
    """Columns as wide as their widest cell; numbers are right-aligned."""
    cells = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        first = row[0].ljust(widths[0])
        others = (cell.rjust(width)
                  for cell, width in zip(row[1:], widths[1:]))
        print("  " + "  ".join([first, *others]))
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))
    for note in notes:
        print("  " + note)


def markdown_table(title, head, rows, notes=()):
    """The same table in Markdown; numbers are right-aligned."""
    lines = [f"{title}:", "", "| " + " | ".join(head) + " |",
             "|" + "---|" + "---:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    if notes:
        lines += ["", " ".join(notes)]
    return "\n".join(lines)
