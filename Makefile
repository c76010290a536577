# Everything a developer or CI does, in one place. Each target installs what it needs first (scripts/bootstrap.sh), so
# `make run` or `make test` in a fresh clone is all it takes.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# make run LISTEN=0.0.0.0:8080 DATA=/srv/rialto
LISTEN ?= 127.0.0.1:3000
DATA ?= ./data
# make e2e E2E="tests/chat.spec.ts --headed"
E2E ?=

step := scripts/step.sh

# One feature set and one profile for all of it: what clippy does not share, the tests of the program, the tests of its parts and the browser
# tests do (scripts/check-features.sh).
packages := --package rialto --package rialto-bench

.PHONY: help run dev build site test test-long fmt lint unit e2e e2e-nodes bundle-size bench lighthouse clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: build ## Build what changed and serve it on http://127.0.0.1:3000 (LISTEN=, DATA=)
	@export LEPTOS_SITE_ROOT=target/site LEPTOS_HASH_FILES=true
	echo "==> Rialto on http://$(LISTEN) (Ctrl-C stops it)"
	exec target/release/rialto serve --data "$(DATA)" --listen "$(LISTEN)"

dev: ## Serve a debug build that rebuilds and reloads on every change
	@scripts/bootstrap.sh run
	source scripts/env.sh
	export LEPTOS_SITE_ADDR="$(LISTEN)"
	exec cargo leptos watch -- serve --data "$(DATA)" --listen "$(LISTEN)"

build: ## Build the release: target/release/rialto and target/site
	@scripts/bootstrap.sh run
	scripts/build.sh

site: ## Build what browsers load, as in a release: target/site
	@scripts/bootstrap.sh run
	scripts/build.sh --frontend-only

# One after the other and in this order: what fails quickly comes first. The browser tests have the program that the integration tests
# have, a debug build, and what browsers load as it is released.
test: ## Everything CI runs: lints, unit and integration tests, the browser tests
	@started=$$SECONDS
	# In a fresh clone nothing is built a second time.
	[ -d target ] || export CARGO_INCREMENTAL=0
	scripts/bootstrap.sh test
	for part in lint unit site bundle-size e2e e2e-nodes; do
		$(MAKE) $$part
	done
	echo "==> All of it passed in $$((SECONDS - started)) s"

fmt: ## Format Rust and end2end/
	@scripts/bootstrap.sh test
	source scripts/env.sh
	cargo fmt --all
	cd end2end && npm run --silent fix

lint: ## rustfmt, clippy for both sides, shellcheck, and ESLint, Prettier and tsc for end2end/
	@scripts/bootstrap.sh test
	source scripts/env.sh
	$(step) "rustfmt" cargo fmt --all --check
	$(step) "shellcheck" shellcheck -x scripts/*.sh scripts/bootstrap/*.sh benches/*.sh .ci/run
	$(step) "Dockerfile, compose, nginx" scripts/check-deploy.sh
	$(step) "end2end: ESLint, Prettier, tsc" npm --prefix end2end run --silent lint
	$(step) "features" scripts/check-features.sh
	$(step) "clippy, server" cargo clippy --workspace --all-targets --locked -- -D warnings
	for features in hydrate hydrate,split; do
		$(step) "clippy, browser, $$features" cargo clippy --lib --no-default-features --features "$$features" \
			--target wasm32-unknown-unknown --locked -- -D warnings
	done

# Twice: what a store promises, both keep. What only PostgreSQL can pass (several nodes on one database, say) says so in the first
# run and is run in the second.
unit: ## Unit and integration tests, on SQLite and then on PostgreSQL
	@scripts/bootstrap.sh unit
	source scripts/env.sh
	if cargo nextest --version >/dev/null 2>&1; then
		run=(cargo nextest run $(packages) --locked)
	else
		run=(cargo test $(packages) --all-targets --locked)
	fi
	echo "==> tests/it/postgres.rs and tests/it/cluster.rs need PostgreSQL: they are skipped in the first run"
	RIALTO_TEST_STORE=sqlite $(step) "Unit and integration tests, SQLite" "$${run[@]}"
	$(step) "Unit and integration tests, PostgreSQL and NATS" scripts/postgres.sh with "$${run[@]}"

e2e: site ## The browser tests (E2E="file --headed" for some of them)
	@scripts/bootstrap.sh test
	source scripts/env.sh
	$(step) "Browser tests" scripts/e2e.sh $(E2E)

# Those to which it matters: each browser is now at one node and now at another.
e2e-nodes: site ## The browser tests against three nodes behind nginx, on PostgreSQL and NATS (E2E= as above)
	@scripts/bootstrap.sh test
	source scripts/env.sh
	$(step) "Browser tests, three nodes" scripts/e2e.sh --nodes 3 $(E2E)

bundle-size: ## What a release makes a browser download, against its limits
	@$(step) "Bundle size" scripts/bundle-size.sh

# RIALTO_BIN=file measures that program instead of building one; more options are in benches/README.md.
bench: ## Measure Rialto beside other servers and write docs/performance.md (BENCH_ONLY=, BENCH_RUNS=, BENCH_QUICK=1)
	@if [ -z "$${RIALTO_BIN:-}" ]; then
		$(MAKE) build
	fi
	scripts/bootstrap.sh run
	source scripts/env.sh
	benches/install.sh
	cargo build --release --locked --package rialto-bench
	out=docs
	if [ "$${BENCH_QUICK:-0}" = 1 ] || [ -n "$${BENCH_ONLY:-}$${BENCH_WORKLOADS:-}" ]; then
		out=
	fi
	export BENCH_OUT="$${BENCH_OUT:-$$out}"
	"$${CARGO_TARGET_DIR:-target}"/release/rialto-bench

# Not a part of `make test`: its score for performance depends on the machine and on what else runs there.
lighthouse: build ## Lighthouse on the news and on a room of the release build (RUNS=5)
	@scripts/bootstrap.sh test
	source scripts/env.sh
	[ -d benches/lighthouse/node_modules/lighthouse ] || npm --prefix benches/lighthouse ci --silent --no-audit --no-fund
	node benches/lighthouse/scores.mjs

clean: ## Remove what was built; tools and data stay
	@rm -rf target end2end/test-results end2end/playwright-report
