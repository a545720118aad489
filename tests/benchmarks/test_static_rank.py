"""x86 machine code as the benchmark reads it."""

from benchmarks.static_rank import heaviest_loop, macs_of, parse

CODE = """
0000000000000000 <kernel>:
       0: xorl  %eax, %eax
       4: vfmadd231ss   %xmm1, %xmm2, %xmm0
       8: vbroadcastss  (%rdi,%rax), %zmm4
       c: vfmadd231ps   %zmm4, %zmm5, %zmm0
      10: vfmadd231ps   (%rsi){1to8}, %ymm5, %ymm1  # comment
      14: addq  $0x4, %rax
      18: jne   0x8 <kernel+0x8>
      1c: decl  %ecx
      20: jne   0x0 <kernel>
      24: retq
"""


def test_the_innermost_loop_and_its_multiply_adds() -> None:
    lines = parse(CODE)
    assert [macs_of(line) for line in lines] == [0, 1, 0, 16, 8, 0, 0, 0, 0, 0]
    assert [name for _, name, _ in heaviest_loop(lines)] == [
        "vbroadcastss",
        "vfmadd231ps",
        "vfmadd231ps",
        "addq",
        "jne",
    ]


def test_code_without_a_loop() -> None:
    assert heaviest_loop(parse(CODE)[:4]) == []
