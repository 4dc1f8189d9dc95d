# What you need beforehand: Rust, Node.js with npm, Python 3 with pip. See CONTRIBUTING.md.

.PHONY: help run test bench types lint postgres frontend

help:
	@echo 'make run    start the server and watch a first run'
	@echo 'make test   all tests, against real PostgreSQL and real sockets'
	@echo 'make bench  measure, and print ratios'
	@echo 'make lint   formatting, clippy, documentation, generated types'
	@echo 'make types  write the TypeScript types anew'

# PostgreSQL with pgvector, in ./.postgres; not needed where DATABASE_URL points to one.
postgres:
	@test -n "$$DATABASE_URL" || sh scripts/postgres.sh

run: postgres
	@cargo build --locked
	@sh scripts/run.sh

# Tests bring up a PostgreSQL of their own, wherever DATABASE_URL points.
test: frontend
	@sh scripts/postgres.sh
	cd frontend-types && npm run check && npm test
	cargo test --locked

frontend:
	@test frontend-types/node_modules/.package-lock.json -nt frontend-types/package-lock.json \
		|| (cd frontend-types && npm ci --no-audit --no-fund)

bench: postgres
	cargo bench --locked --bench relive
	cargo bench --locked --bench memories

types:
	cargo run --locked --example export_types

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
