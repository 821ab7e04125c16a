# make demo | test | release: each installs what is missing, builds, and runs. Everything lands in build/.
# make mobile-demo: linnet shrink for arm64: converts, cross-builds, runs under qemu, compares, and says where the bytes are.
# make bench [PEER=libonnxruntime.so|none] [BENCH="--write --only bert"]: the benchmark suite, from making its models on.
# make test-fast: unit tests only. make check-asan | check-tsan | fuzz [FUZZ_SECONDS=60] | mutants [MUTANTS=1000000 SEED=1]: with sanitizers (clang).
SHELL := /bin/bash
JOBS ?= $(shell nproc)
BUILD := build/release
FUZZ_SECONDS ?= 60
MUTANTS ?= 1000000
SEED ?= 1

.PHONY: demo mobile-demo bench test test-fast release deps check-asan check-tsan fuzz mutants sanitizers clean
.DEFAULT_GOAL := release

deps:
	@tools/bootstrap

$(BUILD)/build.ninja: CMakeLists.txt | deps
	@cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release > /dev/null

release: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j$(JOBS) --quiet linnet
	@echo "built $(BUILD)/linnet"

demo: release
	@$(BUILD)/linnet classify models/digits/digits.onnx models/digits/images/*.png

mobile-demo: release
	@tools/mobile-demo

bench: release
	@ninja -C $(BUILD) -j$(JOBS) --quiet linnet_shared
	@tools/bench $(BUILD) "$(PEER)" $(BENCH)

test: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j$(JOBS) --quiet
	@tools/run-tests $(BUILD)

test-fast: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j$(JOBS) --quiet
	@tools/run-tests $(BUILD) fast

sanitizers:
	@tools/bootstrap clang libclang-rt-14-dev

check-asan check-tsan: deps sanitizers
	@tools/check-sanitizers $(@:check-%=%)

fuzz: deps sanitizers
	@tools/check-sanitizers fuzz $(FUZZ_SECONDS)

mutants: deps sanitizers
	@tools/check-sanitizers mutants $(MUTANTS) $(SEED)

clean:
	rm -rf build
