"""Networks as the kernels that a runtime makes of them: timed by natdeploy, or published."""
