# Everything a newcomer needs: `make demo` and `make test`. Both install what they lack, build and run.
.PHONY: help setup build demo examples test fuzz bench gpu-check sanitize format lint clean
help:
	@echo 'make demo      train a fleet of real models, poison some, screen them all, show how well that went'
	@echo 'make examples  the Python SDK on an MLflow registry and a Hugging Face cache (installs MLflow)'
	@echo 'make test      run the tests'
	@echo 'make bench     the scoring kernels against their peers, score_all against a Python program (BENCH_QUICK=1)'
	@echo 'make gpu-check  on a machine with an NVIDIA GPU: the CUDA kernels checked and timed (nvcc and CMake alone)'
	@echo 'make fuzz      every parser for a minute under libFuzzer (FUZZ_SECONDS=60)'
	@echo 'make sanitize  the tests under AddressSanitizer and UBSan, then under ThreadSanitizer'
	@echo 'make lint      clang-tidy; make format: clang-format'
setup:
	@scripts/setup
build: setup
	@scripts/build release
demo: setup
	@scripts/build release driftseal driftseal-replay driftseal-fleet
	@scripts/demo
examples: setup
	@scripts/build release driftseal driftseal-replay
	@scripts/examples
test: build
	@scripts/test
bench: build
	@scripts/bench
gpu-check:
	@scripts/gpu-check
fuzz:
	@scripts/setup fuzz
	@scripts/fuzz
sanitize: setup
	@scripts/build asan-ubsan && scripts/test build/asan-ubsan
	@scripts/build tsan && scripts/test build/tsan
format:
	@scripts/setup lint
	@git ls-files '*.h' '*.cpp' '*.cu' | xargs clang-format-14 -i
lint: build
	@scripts/setup lint
	@git ls-files 'engine/*.cpp' 'kernels/*.cpp' | xargs clang-tidy-14 -p build --quiet
clean:
	rm -rf build
