"""Stands in for ``onnxruntime_perf_test``: takes its options and writes its file of results, for another processor."""

import subprocess
import sys
from pathlib import Path

#: A run takes a millisecond and the model's size in microseconds, by what it writes down; it computes nothing.
SOURCE = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int count, char **words) {
  long runs = 0, inputs = 0, times = 0;
  for (int i = 1; i < count - 2; i++) {
    if (!strcmp(words[i], "-r")) runs = atol(words[i + 1]);
    if (!strcmp(words[i], "-I")) inputs = 1;
    if (!strcmp(words[i], "-m")) times = !strcmp(words[i + 1], "times");
  }
  FILE *model = fopen(words[count - 2], "rb"), *results = fopen(words[count - 1], "a");
  if (!model || !results || !inputs || !times) { puts("there is no test data for model"); return 1; }
  fseek(model, 0, SEEK_END);
  double seconds = 0.001 + 1e-9 * ftell(model);
  if (getenv("ODD")) fputs("nonsense\\n", results);
  else for (long i = 0; i < runs; i++)
    fprintf(results, "natdeploy,%g,41943040,97,%ld\\n", i ? seconds : 5 * seconds, i);
  printf("Session creation time cost: 0.01 s\\nTotal inference requests: %ld\\n", runs);
  return fclose(results);
}
"""


def make_perf_test(folder: Path, target: str = "aarch64-linux-musl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "perf_test.c").write_text(SOURCE)
    path = folder / "onnxruntime_perf_test"
    # As natdeploy's own executables are linked: for other flags zig would build a C library of its own, in a minute.
    flags = ["-O2", "-g0", "-fPIC", "-static", "-s"]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, *flags, "-o", str(path)]
    subprocess.run([*command, str(folder / "perf_test.c")], check=True, capture_output=True)
    return path
