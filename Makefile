# What one does with this repository. Everything takes a while the first time and little later; each says so.
SHELL := /usr/bin/env bash -euo pipefail

.PHONY: help docs check test test-chart test-pods test-postgres-versions test-drivers fuzz bench demo image sbom controlplane fmt lint
.PHONY: generate clean advisories release-check pin-base-images publish-image publish-chart sign

help: ## Lists the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 32

check: ## Runs every test, and all else that must hold before a change goes in
	@.ci/run

test: ## Runs every test, on a real control plane and a real PostgreSQL
	@hack/test

test-chart: ## Runs the tests of Helm chart and kustomize overlays alone
	@hack/chart-test

test-pods: ## Runs the image in real Pods: install, upgrade, failover, uninstall; as root; PROFILE=dev builds faster
	@PROFILE=$(PROFILE) hack/test-pods

test-postgres-versions: ## Runs the SQL provider's tests on PostgreSQL 14, 16, 17 and 18, from npm
	@hack/test-postgres-versions

test-drivers: ## Logs in with real drivers (psql, Python, node, Java, Go, Rust, Ruby, PHP) by what Secrets hold
	@hack/test-drivers

fuzz: ## Feeds what reads other people's words with odd ones, a minute each; SECONDS=300, ONLY="journal names"
	@EACH=$(SECONDS) hack/fuzz $(ONLY)

bench: ## Measures the operator under load, against targets; N="100 1000 10000", ONLY=create,delete, PROVIDER=ionos
	@hack/bench

demo: ## Shows the operator at work, step by step; PROVIDER=ionos, scalingo, postgresql; KEEP=1 to stay
	@PROVIDER=$(PROVIDER) hack/demo

docs: ## Builds the documentation as a book, with search, and prints where it is
	@hack/docs

image: ## Writes an image as an OCI archive, and its SBOM, without a container engine; PROFILE=dev, IMAGE=name:tag
	@PROFILE=$(PROFILE) IMAGE=$(IMAGE) hack/image

sbom: ## Writes the SBOM of what is compiled into the operator
	@hack/sbom target/sbom/pguser-operator.cdx.json

controlplane: ## Builds the Kubernetes control plane that tests and demo use
	@hack/controlplane

fmt: ## Formats Rust and Go
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml
	cargo fmt --manifest-path tests/drivers/rust/Cargo.toml
	gofmt -l -w tests/controlplane tests/chart tests/drivers tests/gitops tests/pods hack/ociimage

lint: ## Looks for what the compiler lets pass
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo fmt --manifest-path tests/drivers/rust/Cargo.toml --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	hack/deny
	hack/actionlint
	cd tests/controlplane && test -z "$$(gofmt -l .)" && go vet ./launch/... ./launcher/...
	cd tests/chart && test -z "$$(gofmt -l .)" && go vet .
	test -z "$$(gofmt -l tests/gitops)"
	cd tests/drivers/go && test -z "$$(gofmt -l .)" && go vet ./...
	cd tests/pods && test -z "$$(gofmt -l .)" && go vet ./...
	cd hack/ociimage && test -z "$$(gofmt -l .)" && go vet .

generate: ## Writes the CRDs anew, and the chart's copy of them
	cargo run --quiet -- crd --out crds
	cp crds/*.yaml charts/pguser-operator/files/crds/

advisories: ## Looks for known vulnerabilities in what the crates depend on; needs the advisory database
	@hack/deny advisories

release-check: ## Fails unless TAG=v1.2.3 is what crates, chart, Dockerfile and changelog say
	@hack/release check "$(TAG)"

pin-base-images: ## Names the Dockerfile's base images by the digests that they have today
	@hack/release pin

publish-image: ## Builds an image for all platforms with Docker and pushes it; IMAGE=registry/name:tag
	@hack/release image "$(IMAGE)"

publish-chart: ## Packages the chart for an image and pushes it; REFERENCE=image@digest REPOSITORY=registry/charts
	@chart=$$(hack/release chart target/chart "$(REFERENCE)") && hack/release push "$${chart#CHART=}" "$(REPOSITORY)"

sign: ## Signs what was published, without a key; REFERENCE=name@digest, SBOM=file to attest
	@hack/release sign "$(REFERENCE)" $(SBOM)

clean: ## Removes what cargo built (the cache of control plane, Helm, judge and Prometheus stays; it says where)
	cargo clean
	@echo "control plane, Helm, judge and Prometheus are in $${XDG_CACHE_HOME:-$$HOME/.cache}/pguser-operator"
