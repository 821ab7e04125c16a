# make demo | test | release: each installs what is missing, builds, and runs. Everything lands in build/.
SHELL := /bin/bash
JOBS ?= $(shell nproc)
BUILD := build/release
PEER ?=

.PHONY: demo test release deps check-asan check-tsan fuzz bench clean
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

test: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j$(JOBS) --quiet
	@tools/run-tests $(BUILD)

clean:
	rm -rf build
