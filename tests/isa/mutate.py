#!/usr/bin/env python3
"""mutate.py - mutants of the meanings: mutate.py FILE.inc... > mutants.inc

Every SEM(name, body) gives one line for each word of its body that can be flipped into another:

    MUTANT(name, "ADD to SUB, 1st", W(rd, SUB(R(rs1), IMM)))

tests/isa/mutate.c makes a function of each, runs the vectors of that row with it, and expects other results.
"""
import re
import sys

# word: what it is flipped to. Words that exist only here are defined in mutate.c.
FLIPS = {
    "ADD": "SUB", "SUB": "ADD", "MUL": "MULH", "AND": "OR", "OR": "XOR_NOT", "XOR": "OR", "NOT": "SAME",
    "SLL": "SRL", "SRL": "SRA", "SRA": "SRL", "SRLW": "SRL", "ROL": "ROR", "ROR": "ROL", "ROLW": "RORW", "RORW": "ROLW",
    "SEXT8": "ZEXT8", "SEXT16": "ZEXT16", "SEXT32": "ZEXT32", "ZEXT8": "SEXT8", "ZEXT16": "SEXT16", "ZEXT32": "SEXT32",
    "EQ": "NE", "NE": "EQ", "LT": "LTU", "LTU": "LT", "GE": "GEU", "GEU": "GE",
    "MIN": "MINU", "MINU": "MIN", "MAX": "MAXU", "MAXU": "MAX",
    "MULH": "MULHU", "MULHU": "MULHSU", "MULHSU": "MULHU", "DIV": "DIVU", "DIVU": "DIV", "REM": "REMU", "REMU": "REM",
    "CLZ": "CTZ", "CTZ": "CLZ", "CLZ32": "CTZ32", "CTZ32": "CLZ32", "CPOP": "CLZ", "REV8": "BREV8", "BREV8": "REV8",
    "ORCB": "SAME", "CLMUL": "MUL", "CLMULH": "MULHU", "SELECT": "SELECT_OTHER",
    "W": "W_FLIP", "WF": "WF_FLIP", "WFS": "WF", "WFH": "WF", "FS": "F_LOW32", "FH": "F_LOW16",
    "K": "K_FLIP", "IMM": "IMM_FLIP", "PC": "LINK", "LINK": "PC", "R_RD": "R_RD_FLIP",
    "BRANCH": "BRANCH_NOT", "JUMP": "JUMP_NOT", "JUMP_REL": "JUMP_REL_NOT", "ECALL": "NOP",
    "LR": "LR_LOST", "SC": "SC_FLIP", "CAS": "CAS_FLIP", "CAS128": "TOUCH", "CBO_ZERO": "TOUCH",
    "FADD": "FSUB", "FSUB": "FADD", "FMUL": "FDIV", "FDIV": "FMUL", "FSQRT": "FP_SAME", "FMADD": "FMADD_TWICE",
    "FNEG": "FP_SAME", "FMIN": "FMINM", "FMAX": "FMAXM", "FMINM": "FMIN", "FMAXM": "FMAX", "FEQ": "FLEQ", "FLT": "FLTQ",
    "FLE": "FLEQ", "FLTQ": "FLT", "FLEQ": "FLE", "FSGNJ": "FSGNJN", "FSGNJN": "FSGNJ", "FSGNJX": "FSGNJ", "FLI": "FLI_FLIP",
    "FCLASS": "FP_SAME", "FROUND": "FROUNDNX", "FROUNDNX": "FROUND", "FCVTMOD_W_D": "FCVT_W_D",
    "FCVT_S_H": "SAME", "FCVT_D_H": "FCVT_S_H", "FCVT_H_S": "SAME", "FCVT_H_D": "FCVT_S_D", "FCVT_S_D": "SAME",
    "FCVT_D_S": "SAME",
}
FIRST_ARGUMENT = {
    "LOAD": {"S8": "U8", "U8": "S8", "S16": "U16", "U16": "S16", "S32": "U32", "U32": "S32", "U64": "U32"},
    "STORE": {"8": "16", "16": "8", "32": "16", "64": "32"},
    "AMO": {"ADD": "XOR", "SWAP": "ADD", "XOR": "OR", "OR": "XOR", "AND": "OR", "MIN": "MINU", "MAX": "MAXU",
            "MINU": "MIN", "MAXU": "MAX"},
    "LR": {"32": "64", "64": "32"},
    "SC": {"32": "64", "64": "32"},
    "CAS": {"8": "16", "16": "8", "32": "16", "64": "32"},
    "CSR": {"WRITE": "SET", "SET": "WRITE", "CLEAR": "SET"},
}

# Mutants that mean the same, and why.
SAME = {
    ("flw", "LOAD U32 to S32"): "boxing overwrites the upper half",
    ("packw", "ZEXT16 to SEXT16, number 2"): "what the sign fills is cut off",
    ("divuw", "DIVU to DIV"): "operands are zero-extended",
    ("remuw", "REMU to REM"): "operands are zero-extended",
    ("bext", "SRL to SRA"): "one bit is kept",
    ("bexti", "SRL to SRA"): "one bit is kept",
    ("flh", "LOAD U16 to S16"): "boxing overwrites the rest",
    ("fmv_w_x", "ZEXT32 to SEXT32"): "boxing overwrites the upper half",
    ("fmv_h_x", "ZEXT16 to SEXT16"): "boxing overwrites the rest",
}


def flip(word):
    if word in FLIPS:
        return FLIPS[word]
    m = re.match(r"(F[A-Z]+)(_[HSD])$", word)
    if m and m.group(1) in FLIPS:
        return FLIPS[m.group(1)] + m.group(2)
    m = re.match(r"FCVT_(WU|W|LU|L)_([HSD])$", word)
    if m:
        return "FCVT_%s_%s" % ({"W": "WU", "WU": "W", "L": "LU", "LU": "L"}[m.group(1)], m.group(2))
    m = re.match(r"FCVT_([HSD])_(WU|W|LU|L)$", word)
    if m:
        return "FCVT_%s_%s" % (m.group(1), {"W": "WU", "WU": "W", "L": "LU", "LU": "L"}[m.group(2)])
    return None


def meanings(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for m in re.finditer(r"^SEM\((\w+),\s*", text, re.M):
        depth, at = 1, m.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield m.group(1), " ".join(text[m.end():at - 1].split())


def mutants(name, body):
    seen = {}
    for m in re.finditer(r"\b[A-Z][A-Z0-9_]*\b", body):
        word, ways = m.group(0), []
        before = re.search(r"(\w+)\($", body[:m.start()])
        if before and before.group(1) in FIRST_ARGUMENT:
            continue  # an operation that is an argument: below
        other = flip(word)
        if other:
            ways.append(("%s to %s" % (word, other), m.start(), m.end(), other))
        if word in FIRST_ARGUMENT:
            a = re.compile(r"\((\w+)").match(body, m.end())
            other = FIRST_ARGUMENT[word][a.group(1)]
            ways.append(("%s %s to %s" % (word, a.group(1), other), a.start(1), a.end(1), other))
        for what, start, end, other in ways:
            seen[what] = seen.get(what, 0) + 1
            numbered = "%s, number %d" % (what, seen[what])
            if (name, what) not in SAME and (name, numbered) not in SAME:
                yield numbered, body[:start] + other + body[end:]


def main():
    for path in sys.argv[1:]:
        with open(path) as f:
            for name, body in meanings(f.read()):
                for what, mutant in mutants(name, body):
                    print('MUTANT(%s, "%s", %s)' % (name, what, mutant))


main()
