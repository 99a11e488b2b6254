# What one does with this repository. Everything takes a while the first time and little later; each says so.
SHELL := /usr/bin/env bash -euo pipefail

.PHONY: help test test-postgres-versions demo controlplane fmt lint generate clean

help: ## Lists the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 32

test: ## Runs every test, on a real control plane and a real PostgreSQL
	@hack/test

test-postgres-versions: ## Runs the SQL provider's tests on PostgreSQL 14, 16, 17 and 18, from npm
	@hack/test-postgres-versions

bench: ## Prints what 200 users cost: calls to the remote, writes to Kubernetes
	@hack/bench

demo: ## Shows the operator at work, step by step; PROVIDER=ionos, scalingo, postgresql; KEEP=1 to stay
	@PROVIDER=$(PROVIDER) hack/demo

controlplane: ## Builds the Kubernetes control plane that tests and demo use
	@hack/controlplane

fmt: ## Formats Rust and Go
	cargo fmt --all
	gofmt -l -w tests/controlplane

lint: ## Looks for what the compiler lets pass
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cd tests/controlplane && test -z "$$(gofmt -l .)" && go vet ./launch/... ./launcher/...

generate: ## Writes the CRDs anew
	cargo run --quiet -- crd --out crds

clean: ## Removes what cargo built (the control plane's cache stays; it says where)
	cargo clean
	@echo "the control plane is in $${XDG_CACHE_HOME:-$$HOME/.cache}/pguser-operator"
