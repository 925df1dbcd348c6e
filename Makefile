# The two commands: `make demo` shows Ancre at work on your machine, `make test` checks all of it.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)

# Go keeps its caches under HOME. Where that is empty, the account's own home is meant, else a folder in bin/.
ifeq ($(strip $(HOME)),)
export HOME := $(or $(wildcard $(shell eval echo "~$$(id -un)")),$(CURDIR)/bin/home)
endif

# Nothing here needs C, and what is built the same way is built once for all targets.
export CGO_ENABLED := 0
export GOFLAGS := $(GOFLAGS) -trimpath
LDFLAGS := $(if $(VERSION),-ldflags "-X main.version=$(VERSION)")

# The race detector does need a C compiler. It leaves out the arithmetic of signatures, which it makes twenty times slower and which starts no goroutine.
CURVES := github.com/decred/dcrd/dcrec/secp256k1/v4/...
RACE := $(shell { command -v $$($(GO) env CC) >/dev/null && echo -race -gcflags=$(CURVES)=-race=false; } 2>/dev/null)

# What runs on what: a small server, a Raspberry Pi, and the machines that people sit at.
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

.PHONY: build demo test unit unit-rooms unit-store itest clients simulate fuzz differential bench fees \
	lint cross install clean help

build: ## the daemon and the command, into bin/ (what plain `make` does)
	$(GO) build $(LDFLAGS) -o bin/ ./cmd/ancred ./cmd/ancre

demo: build ## files of this repository, stamped and verified on a private Bitcoin network; KEEP=1 leaves it running
	@$(GO) build -o bin/ ./tools/demo github.com/btcsuite/btcd
	@KEEP="$(KEEP)" bin/demo

# go test, which then says which tests it skipped and why.
GOTEST := $(GO) run ./tools/gotest

test: ## everything: unit tests, end to end on real nodes; then what was skipped because this machine lacks it
	@mkdir -p bin && rm -f bin/skipped && touch bin/skipped
	@$(MAKE) --no-print-directory ANCRE_SKIPPED=$(CURDIR)/bin/skipped unit itest
	@$(GOTEST) -skipped bin/skipped

# Where the skipped tests are noted down, for one list at the end of several targets.
export ANCRE_SKIPPED

unit: unit-rooms unit-store ## the unit tests, with the race detector

STORE_TESTS := ancre/batcher/store/pebblestore
unit-rooms: ## the unit tests without those of the store
ifeq ($(RACE),)
	@echo "There is no C compiler: the unit tests run without the race detector."
	@test -z "$$ANCRE_SKIPPED" || printf 'no C compiler\tthe race detector\n' >>"$$ANCRE_SKIPPED"
endif
	$(if $(RACE),CGO_ENABLED=1) $(GOTEST) $(RACE) -timeout 20m $$($(GO) list ./... | grep -v -e '^ancre/itest' -e '^$(STORE_TESTS)$$')

# With the race detector, those that crash the store and flip its bits would take very long: with it they are short.
unit-store: ## the unit tests of the store, which crash it, fill its disk and flip its bits
	$(if $(RACE),CGO_ENABLED=1 $(GOTEST) $(RACE) -short -timeout 20m $(STORE_TESTS))
	$(GOTEST) -timeout 20m $(STORE_TESTS)

itest: clients ## end to end: the real programs on real nodes
	$(GOTEST) -count=1 -timeout 15m -parallel 4 ./itest/...

# Exactly what the lock file says. Without npm or a network the rest goes on, and the tests that want these say so and are skipped.
CLIENTS := bin/clients/node_modules/.package-lock.json
clients: $(CLIENTS) ## other people's programs from npm, which itest has read our proofs
$(CLIENTS): $(addprefix itest/clients/,package.json package-lock.json .npmrc fs/package.json)
	@mkdir -p bin/clients/fs && cp $(filter-out %fs/package.json,$^) bin/clients/ && cp itest/clients/fs/package.json bin/clients/fs/
	@cd bin/clients && if ! command -v npm >/dev/null; then echo "npm is not installed: what itest checks with its clients is skipped"; \
	elif ! npm ci --loglevel=error; then echo "npm could not install its clients: what itest checks with them is skipped"; fi

SEEDS ?= 10000
simulate: ## 10,000 lives of the daemon (SEEDS=), then faults planted in its source, which such lives must find
	$(GO) test -count=1 -timeout 24h ./batcher -run '^TestSimulation$$' -seeds=$(SEEDS)
	$(GO) test -count=1 -timeout 30m ./batcher -run '^TestSimulationFindsPlantedFaults$$' -planted -v

# A number of inputs, not a time: a Go older than 1.27 may report the end of that time as a finding (go.dev/issue/75804).
FUZZTIME ?= 50000x
FUZZ ?= .
fuzz: ## 50,000 mutated inputs (FUZZTIME=) for each decoder of outside bytes (in the folders FUZZ=)
	@grep -rl --include='*_test.go' '^func Fuzz' $(FUZZ) | xargs -n 1 dirname | sort -u | sed '/^\./!s|^|./|' | while read -r p; do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do echo "$$p $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x $$p || exit 1; done || exit 1; done

MUTATIONS ?= 200000
differential: ## 200,000 mutated proofs (MUTATIONS=), read here and by python3-opentimestamps
	$(GO) test -count=1 -timeout 24h ./proof -run '^TestTheReferenceImplementationAgrees$$' -mutations=$(MUTATIONS) -v

bench: ## every figure beside its floor, into docs/performance.md; STORE=DIR: also with a large store; SHORT=1: only to see that it works
	@SHORT="$(SHORT)" STORE="$(STORE)" $(GO) run ./tools/bench

fees: ## the cost study: plays fee markets, rewrites docs/fees.md and its plots
	$(GO) run ./tools/fees

lint: ## formatting, go vet, staticcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "the files above are not formatted: run gofmt -w ." >&2; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

cross: ## builds for every platform, without cgo
	@for p in $(PLATFORMS); do echo "$$p"; GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build ./... || exit 1; done

install: ## what was built, the unit file and the sample configuration, under PREFIX
	@test -x bin/ancred -a -x bin/ancre || { echo "nothing is built yet: run make first, as yourself (root may have no Go)" >&2; exit 1; }
	install -D -m 0755 -t $(DESTDIR)$(PREFIX)/bin bin/ancred bin/ancre
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system contrib/ancred.service
	sed -i 's|/usr/local|$(PREFIX)|g' $(DESTDIR)$(PREFIX)/lib/systemd/system/ancred.service
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/ancre sample.conf README.md LICENSE docs/metrics.md \
		contrib/nginx.conf contrib/Caddyfile contrib/prometheus/prometheus.yml contrib/prometheus/alerts.yml contrib/grafana/ancre.json

clean: ## removes bin/
	rm -rf bin

help: ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 14
