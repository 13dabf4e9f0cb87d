# Cuts the fenced blocks of a Markdown file into files: awk -v dir=DIR -f extract.awk FILE.md
# Assumes fences at the start of a line. Writes DIR/NNN.LANGUAGE (NNN: line of the fence) and DIR/list with one line a block: NNN LANGUAGE WORDS...
/^```/ {
    if (open) { close(out); open = 0; next }
    words = substr($0, 4)
    if (words == "") words = "plain"
    split(words, part, " ")
    out = sprintf("%s/%04d.%s", dir, NR, part[1])
    printf "%04d %s\n", NR, words > (dir "/list")
    printf "" > out
    open = 1
    next
}
open { print > out }
END { if (open) { print FILENAME ": a fence is not closed" > "/dev/stderr"; exit 1 } }
