# What you need beforehand: Rust, Node.js with npm, Python 3 with pip. See CONTRIBUTING.md.

.PHONY: help run test chaos retention beside simulate simulate-faults fuzz autobahn interleavings bench types lint postgres frontend dashboard sdk python screenshots soak generated-clients exporters changelog prometheus deploy deb

help:
	@echo 'make run    start the server and watch a first run'
	@echo 'make test   all tests, against real PostgreSQL and real sockets'
	@echo 'make generated-clients  generate clients from the OpenAPI document, and drive runs with them'
	@echo 'make python  build, check and test the Python package in sdk/python; TESTS=name'
	@echo 'make exporters  export traces by the OpenTelemetry SDKs of Python and JavaScript'
	@echo 'make deploy  build and run the image, the .deb, the chart and compose.yaml; PARTS="chart compose", PROFILE=dev'
	@echo 'make deb    the Debian package, in target/debian'
	@echo 'make prometheus  run the alerts and the dashboard of deploy/ against a real Prometheus'
	@echo 'make chaos  a thousand faults of servers, database and network under load; CHAOS_CRASHES=n, CHAOS_SEED=n'
	@echo 'make retention  delete ten million events under load, and print what that costs; DELETED_EVENTS=n'
	@echo 'make beside PREVIOUS=path  run the program of the version before beside this one, on one database'
	@echo 'make soak   everything at once, with restarts, for MINUTES=60; draws memory, files, tables and latencies'
	@echo 'make simulate   a million runs of the deterministic simulation; SEEDS=n, or SEED=n for one with its trace'
	@echo 'make simulate-faults  plant faults, one at a time, and see how soon the simulation finds each'
	@echo 'make fuzz   ten million inputs for every parser of foreign input; CASES=n, SEED=n, TARGET=name, FILE=path'
	@echo 'make autobahn  the Autobahn test suite against an echo server that is made of our sockets'
	@echo 'make interleavings  tasks and threads in 100,000 orders for each test; SCHEDULES=n'
	@echo 'make bench  measure, and print ratios; ONLY=write, or another part, for that one'
	@echo 'make lint   formatting, clippy, documentation, TypeScript, spelling, dependencies'
	@echo 'make changelog  check the notes in changes/ and print what is not released; VERSION=n makes it a version'
	@echo 'make types  write the TypeScript types anew'
	@echo 'make sdk    test the TypeScript packages below sdk/, but for what needs a browser; ALL=1 in Deno and Bun too'
	@echo 'make dashboard    build the pages that the server embeds'
	@echo 'make screenshots  take the pictures of the README anew'

# PostgreSQL with pgvector, in ./.postgres; not needed where DATABASE_URL points to one.
postgres:
	@test -n "$$DATABASE_URL" || sh scripts/postgres.sh

run: postgres dashboard
	@cargo build --locked
	@sh scripts/run.sh

# Tests bring up a PostgreSQL of their own, wherever DATABASE_URL points. Those in a browser use the
# server that `cargo test` has built.
test: frontend dashboard
	@sh scripts/postgres.sh
	@sh scripts/proxies.sh
	cd frontend-types && npm run check && npm test
	cd dashboard && npm run check && npm test
	cargo test --locked
	@RELIVE_WEBHOOK_ALLOW_PRIVATE=true sh scripts/with-server.sh sh scripts/generated-clients.sh
	@sh scripts/with-server.sh sh scripts/exporters.sh
	@sh scripts/sdk-tests.sh
	@MINUTES=1 sh scripts/soak.sh
	@sh scripts/browser-tests.sh

# A short form of it is among the integration tests.
chaos: postgres
	CHAOS_CRASHES=$${CHAOS_CRASHES:-1000} cargo test --locked --test it -- chaos --nocapture

# A short form of it is among the integration tests. Needs some 8 GB of disk in TMPDIR, and half an hour.
retention: postgres
	@test -n "$$RELIVE_BINARY" || cargo build --release --locked --bin relive
	DELETED_EVENTS=$${DELETED_EVENTS:-10000000} \
		RELIVE_BINARY="$${RELIVE_BINARY:-$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/relive}" \
		cargo test --locked --test it -- deletion_under_load --nocapture

# Before a release, with the program of the release before; see migrations/README.md.
beside: postgres
	@test -x "$(PREVIOUS)" || { echo 'PREVIOUS names no program: make beside PREVIOUS=path/to/relive' >&2; exit 1; }
	PREVIOUS_BINARY="$(abspath $(PREVIOUS))" cargo test --locked --test it -- two_versions --nocapture

# Two servers on one database under all kinds of load; the chart is below target/soak. A minute of it is in `make test`.
# MINUTES=n, RELIVE_BINARY=path; see docs/operating.md for how to read it.
soak: postgres
	@test -n "$$RELIVE_BINARY" || cargo build --release --locked --bin relive
	@MINUTES=$(MINUTES) sh scripts/soak.sh

# Tokio lets only this cfg seed its random numbers; without it a seed does not repeat a run exactly.
simulate: SEEDS ?= 1000000
simulate:
	@SEEDS=$(SEEDS) SEED=$(SEED) RUSTFLAGS='--cfg tokio_unstable' \
		cargo test --locked --profile simulation --test simulation

simulate-faults:
	@sh scripts/simulate-faults.sh

# A short form of it is in `make test`. With the flags of the simulation both share what they are built of.
fuzz: CASES ?= 10000000
fuzz:
	@CASES=$(CASES) SEED=$(SEED) TARGET=$(TARGET) FILE=$(FILE) RUSTFLAGS='--cfg tokio_unstable' \
		cargo test --locked --profile simulation --test fuzz

autobahn:
	@cargo build --locked --example echo
	@sh scripts/autobahn.sh

# A short form of it is part of `make test`.
interleavings:
	SCHEDULES=$${SCHEDULES:-100000} cargo test --locked --test interleavings -- cases

frontend:
	@test frontend-types/node_modules/.package-lock.json -nt frontend-types/package-lock.json \
		|| (cd frontend-types && npm ci --no-audit --no-fund)

# Built only when something it is made of has changed; passed over where there is no npm.
dashboard: dashboard/dist/index.html

dashboard/dist/index.html: $(shell find dashboard/src frontend-types/src sdk/element/src dashboard/scripts/embed.mjs dashboard/*.json dashboard/*.html dashboard/vite.config.ts -type f)
	@sh scripts/dashboard.sh

# The TypeScript packages below sdk/; part of `make test`.
sdk: frontend dashboard postgres
	@cargo build --locked
	@sh scripts/sdk-tests.sh

# Clients generated from the OpenAPI document, by openapi-typescript and openapi-python-client, drive runs.
generated-clients: postgres
	@cargo build --locked
	@RELIVE_WEBHOOK_ALLOW_PRIVATE=true sh scripts/with-server.sh sh scripts/generated-clients.sh

# The OpenTelemetry SDKs of Python and JavaScript send traces to a server.
exporters: postgres
	@cargo build --locked
	@sh scripts/with-server.sh sh scripts/exporters.sh

# Every query of the alerts and of the dashboard in deploy/ finds something in a real Prometheus.
prometheus: postgres
	@cargo build --locked
	@python3 -B scripts/prometheus.py

# Builds the image and the Debian package, and runs both; checks the chart and compose.yaml.
deploy: postgres
	@PROFILE=$(PROFILE) sh scripts/deploy.sh $(PARTS)

deb: postgres dashboard
	@sh scripts/deploy/cargo-deb.sh
	@cargo build --release --locked --bin relive
	@sh scripts/stage-package.sh $${CARGO_TARGET_DIR:-target}/release/relive
	PATH="$(CURDIR)/.tools/cargo/bin:$$PATH" cargo deb --no-build --strip

# The wheel, ruff, mypy, and pytest against a real server, LangGraph and the OpenTelemetry SDK.
python: postgres
	@cargo build --locked
	@sh scripts/python.sh $(if $(TESTS),-k '$(TESTS)')

screenshots: postgres dashboard
	@cargo build --locked
	cd dashboard && npm run screenshots

bench: postgres
ifdef ONLY
	cargo bench --locked --bench relive -- $(ONLY)
else
	cargo bench --locked --bench relive
	cargo bench --locked --bench memories
endif

types:
	cargo run --locked --example export_types

lint:
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	@sh scripts/lint.sh

changelog:
	@python3 -B scripts/changelog.py $(if $(VERSION),release $(VERSION),print)
