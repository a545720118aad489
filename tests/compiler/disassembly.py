"""What llvm-objdump prints of a small kernel for aarch64."""

#: An outer loop (4 to 2c) around a loop with multiply-adds (c to 1c), then a loop without any (30 to 34).
DISASSEMBLY = """
k.o:	file format elf64-littleaarch64

Disassembly of section .text:

0000000000000000 <kernel>:
       0:      	mov	x29, sp
       4:      	ldr	q1, [x1, #16]
       8:      	mov	x9, xzr
       c:      	ldr	q0, [x0, x9]
      10:      	fmla	v2.4s, v0.4s, v1.s[0]
      14:      	fmla	v3.4s, v0.4s, v1.s[1]  // a comment
      18:      	str	q3, [sp, #32]
      1c:      	b.ne	0xc <kernel+0xc>
      20:      	fmla	v4.4s, v0.4s, v1.s[2]
      24:      	str	q4, [x29, #-16]
      28:      	subs	x8, x8, #0x1
      2c:      	cbnz	x8, 0x4 <kernel+0x4>
      30:      	add	x2, x2, #0x10
      34:      	tbnz	w2, #0x4, 0x30 <kernel+0x30>
      38:      	ret
"""
