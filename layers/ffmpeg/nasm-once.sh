#!/bin/sh
# nasm OPTIONS -o OBJECT SOURCE, as FFmpeg's makefile calls it, with the source's macros expanded once.
#
# nasm assembles in several passes and expands all macros anew in each: the largest file of FFmpeg takes 10 s so, and 2 s
# like this. The instructions are the same; only what pads between them differs.
set -e
for argument; do
	object=$previous
	previous=$argument
done
nasm -E "$@"
mv "$object" "$object.asm"
nasm -f elf64 -a -o "$object" "$object.asm"
