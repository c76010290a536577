# Every task of developers and CI. Each target first installs what it needs (scripts/bootstrap.sh), so `make run` and `make test` work in a
# fresh clone.

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

# One feature set and one profile, so that clippy, unit tests, integration tests and browser tests share builds
# (scripts/check-features.sh).
packages := --package rialto --package rialto-bench

.PHONY: help run dev build site test test-long test-upgrade fmt lint unit cargo-leptos e2e e2e-nodes bundle-size bench lighthouse clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: build ## Build a release and serve it on http://127.0.0.1:3000 (LISTEN=, DATA=)
	@echo "==> Rialto on http://$(LISTEN) (Ctrl-C stops it)"
	exec target/release/rialto serve --data "$(DATA)" --listen "$(LISTEN)"

dev: ## Serve a debug build that rebuilds and reloads on every change
	@scripts/bootstrap.sh run
	source scripts/env.sh
	export LEPTOS_SITE_ADDR="$(LISTEN)"
	exec cargo leptos watch -- --data "$(DATA)"

build: ## Build a release: target/release/rialto and target/site
	@scripts/bootstrap.sh run
	scripts/build.sh

site: ## Build the files for browsers, as in a release: target/site
	@scripts/bootstrap.sh run
	scripts/build.sh --frontend-only

# In this order, so that quick checks fail first. The browser tests use the debug build of the integration tests and the release's files for
# browsers.
test: ## Run everything CI runs: lints, unit, integration and browser tests
	@started=$$SECONDS
	# Incremental builds do not pay off in a fresh clone.
	[ -d target ] || export CARGO_INCREMENTAL=0
	scripts/bootstrap.sh test
	for part in lint unit cargo-leptos site bundle-size e2e e2e-nodes; do
		$(MAKE) $$part
	done
	echo "==> All checks passed in $$((SECONDS - started)) s"

# What takes long by nature: every test on PostgreSQL, long outages, and all browser tests against the release build.
test-long: site ## Run the tests that `make test` leaves out (an hour)
	@scripts/bootstrap.sh test
	source scripts/env.sh
	$(step) "All tests, PostgreSQL and NATS" scripts/postgres.sh with cargo nextest run $(packages) --locked
	RIALTO_SIMULATION_SECONDS=600 RIALTO_SIMULATION_SEED=1001 $(step) "Simulation, ten minutes" cargo nextest run --locked --lib --no-capture serve::simulation::everything
	RIALTO_BACKUP_ROUNDS=50 $(step) "Backups and kills, SQLite" cargo nextest run $(packages) --locked --test it backup::kills
	RIALTO_INTERLEAVINGS=30 SHUTTLE_RANDOM_SEED=1001 $(step) "Interleavings of threads" cargo nextest run --locked --lib thread_interleavings
	RIALTO_FUZZ_CASES=10000 RIALTO_FUZZ_SEED=1001 $(step) "Mutated inputs of parsers" cargo nextest run --locked --lib fuzzing::
	RIALTO_OUTAGE_SECONDS=60 RIALTO_LOST_COMMITS=10 RIALTO_FULL_DISKS=3 $(step) "Outages of a minute under load" \
		scripts/postgres.sh with cargo nextest run $(packages) --locked --test it --success-output final worst_day
	RIALTO_E2E_LONG=1 $(step) "Long browser tests" scripts/e2e.sh
	RIALTO_E2E_LONG=1 $(step) "Long browser tests, three nodes" scripts/e2e.sh --nodes 3
	$(MAKE) build
	RIALTO_BIN=$(CURDIR)/target/release/rialto $(step) "Browser tests, release build" scripts/e2e.sh

test-upgrade: site ## Test an upgrade from another commit: its data folder and open pages (PREVIOUS=)
	@scripts/bootstrap.sh test
	scripts/test-upgrade.sh "$(PREVIOUS)"

fmt: ## Format Rust and end2end/
	@scripts/bootstrap.sh test
	source scripts/env.sh
	leptosfmt --quiet src
	cargo fmt --all
	cd end2end && npm run --silent fix

lint: ## Run rustfmt, leptosfmt, clippy for server and browser, shellcheck, cargo-deny, and ESLint, Prettier and tsc for end2end/
	@scripts/bootstrap.sh test
	source scripts/env.sh
	$(step) "rustfmt" cargo fmt --all --check
	$(step) "leptosfmt" leptosfmt --quiet --check src
	$(step) "shellcheck" shellcheck -x scripts/*.sh scripts/bootstrap/*.sh benches/*.sh end2end/*.sh .ci/run
	$(step) "Dockerfile, compose, nginx" scripts/check-deploy.sh
	$(step) "Licences, sources and known vulnerabilities of dependencies" scripts/check-dependencies.sh
	$(step) "end2end: ESLint, Prettier, tsc" npm --prefix end2end run --silent lint
	$(step) "features" scripts/check-features.sh
	RUSTDOCFLAGS="-D warnings" $(step) "rustdoc" cargo doc --no-deps --document-private-items --locked --quiet
	$(step) "clippy, server" cargo clippy --workspace --all-targets --locked -- -D warnings
	# With the option that splits the program, as in a release; `cargo leptos watch` compiles it without.
	RUSTFLAGS="--cfg erase_components -Clink-args=--emit-relocs" $(step) "clippy, browser" cargo clippy --lib \
		--package rialto --package rialto-frontend --no-default-features --target wasm32-unknown-unknown --locked -- -D warnings

# Twice, because SQLite and PostgreSQL must pass the same tests. A test that needs PostgreSQL (several nodes on one database, for example)
# reports in the first run that it was skipped.
unit: ## Run unit and integration tests on SQLite, then on PostgreSQL
	@scripts/bootstrap.sh unit
	source scripts/env.sh
	if cargo nextest --version >/dev/null 2>&1; then
		run=(cargo nextest run $(packages) --locked)
	else
		run=(cargo test $(packages) --all-targets --locked)
	fi
	echo "==> tests/it/postgres.rs and tests/it/cluster.rs need PostgreSQL: they are skipped in the first run"
	RIALTO_TEST_STORE=sqlite $(step) "Unit and integration tests, SQLite" "$${run[@]}"
	# What depends on the store, where nextest can choose it (.config/nextest.toml).
	if [ "$${run[1]}" = nextest ]; then
		run+=(--profile postgres)
	fi
	$(step) "Unit and integration tests, PostgreSQL and NATS" scripts/postgres.sh with "$${run[@]}"

cargo-leptos: ## Run cargo leptos end-to-end and watch as a developer types them
	@scripts/bootstrap.sh test
	source scripts/env.sh
	$(step) "cargo leptos end-to-end, watch" scripts/check-cargo-leptos.sh

e2e: site ## Run the browser tests (E2E="file --headed" selects some)
	@scripts/bootstrap.sh test
	source scripts/env.sh
	$(step) "Browser tests" scripts/e2e.sh $(E2E)

# Only the tests for which nodes matter; each browser is balanced over all nodes.
e2e-nodes: site ## Run the browser tests against three nodes behind nginx, on PostgreSQL and NATS (E2E= as above)
	@scripts/bootstrap.sh test
	source scripts/env.sh
	$(step) "Browser tests, three nodes" scripts/e2e.sh --nodes 3 $(E2E)

bundle-size: ## Check a release's download size against its limits
	@$(step) "Bundle size" scripts/bundle-size.sh

# RIALTO_BIN=file measures that program and builds none; benches/README.md has more options.
bench: ## Compare Rialto with other servers and write docs/performance.md (BENCH_ONLY=, BENCH_RUNS=, BENCH_QUICK=1)
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

# Not part of `make test`: the performance score depends on the machine and its load.
lighthouse: build ## Run Lighthouse on the news and on a room of a release (RUNS=5)
	@scripts/bootstrap.sh test
	source scripts/env.sh
	[ -d benches/lighthouse/node_modules/lighthouse ] || npm --prefix benches/lighthouse ci --silent --no-audit --no-fund
	node benches/lighthouse/scores.mjs

clean: ## Remove build output; keep tools and data
	@rm -rf target end2end/test-results end2end/playwright-report
