# The two commands: `make demo` shows Ancre at work on your machine, `make test` checks all of it.

GO      ?= go
PREFIX  ?= /usr/local
DESTDIR ?=

# Go keeps its caches under HOME. If HOME is empty, this is the account's home, or a folder in bin/.
ifeq ($(strip $(HOME)),)
export HOME := $(or $(wildcard $(shell eval echo "~$$(id -un)")),$(CURDIR)/bin/home)
endif

# Nothing here needs C. All targets build with the same flags, and so share the build cache.
export CGO_ENABLED := 0
export GOFLAGS := $(GOFLAGS) -trimpath

# Only the race detector needs a C compiler. It leaves out the arithmetic of signatures, which
# starts no goroutine and would become twenty times slower.
CURVES := github.com/decred/dcrd/dcrec/secp256k1/v4/...
RACE := $(shell { command -v $$($(GO) env CC) >/dev/null && echo -race -gcflags=$(CURVES)=-race=false; } 2>/dev/null)

# Small servers, a Raspberry Pi, and the machines that people sit at.
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64

.PHONY: build demo test unit unit-rooms unit-store itest clients simulate fuzz differential bench pictures fees \
	checkpoints lint cross reproducible release deb tarballs image unit-packages \
	verifier verifier-check install uninstall clean help

# Without the symbol table the programs are a third smaller. Stack traces and profiles need none.
build: ## builds the programs into bin/ (plain `make` does this)
	$(GO) build -ldflags=-s -o bin/ ./cmd/ancred ./cmd/ancre ./cmd/ancre-register

demo: build ## stamps and verifies files on a private Bitcoin network; KEEP=1 leaves it running
	@$(GO) build -o bin/ ./tools/demo github.com/btcsuite/btcd
	@KEEP="$(KEEP)" bin/demo

# go test, which then lists the tests that it skipped, and why.
GOTEST := $(GO) run ./tools/gotest

test: ## runs all tests in some 25 minutes, then lists what this machine had to skip and why
	@echo "This takes some 25 minutes on two processors. The first time it downloads some 500 MB of Go modules and tools,"
	@echo "some 60 MB of npm packages if npm is installed, and a Debian of 100 MB if you are root and have debootstrap."
	@echo "What this machine has to skip is listed at the end, with the reasons."
	@mkdir -p bin && rm -f bin/skipped && touch bin/skipped
	@$(MAKE) --no-print-directory ANCRE_SKIPPED=$(CURDIR)/bin/skipped unit itest
	@$(GOTEST) -skipped bin/skipped

# The file that collects the skipped tests of several targets, for one list at the end.
export ANCRE_SKIPPED

unit: unit-rooms unit-store ## runs the unit tests, with the race detector

STORE_TESTS := ancre/batcher/store/pebblestore
unit-rooms: ## runs the unit tests except those of the store
ifeq ($(RACE),)
	@echo "There is no C compiler: the unit tests run without the race detector."
	@test -z "$$ANCRE_SKIPPED" || printf 'no C compiler\tthe race detector\n' >>"$$ANCRE_SKIPPED"
endif
	$(if $(RACE),CGO_ENABLED=1) $(GOTEST) $(RACE) -timeout 20m $$($(GO) list ./... | grep -v -e '^ancre/itest' -e '^$(STORE_TESTS)$$')

# With the race detector these tests are slow, so they do less with it (-short). They come second:
# unit-rooms, if it runs at the same time, then has compiled the packages for the race detector.
unit-store: ## runs the unit tests of the store: crashes, full disks, flipped bits
	$(GOTEST) -timeout 60m $(STORE_TESTS)
	$(if $(RACE),CGO_ENABLED=1 $(GOTEST) $(RACE) -short -timeout 60m $(STORE_TESTS))

itest: clients ## runs the real programs on real Bitcoin nodes, end to end
	$(GOTEST) -count=1 -timeout 45m -parallel 4 ./itest/...

# Installs exactly what the lock file names. Without npm or a network, the tests that need these
# packages are skipped and say so.
CLIENTS := bin/clients/node_modules/.package-lock.json
clients: $(CLIENTS) ## installs the npm packages of other people, with which itest reads our proofs
$(CLIENTS): $(addprefix itest/clients/,package.json package-lock.json .npmrc fs/package.json)
	@mkdir -p bin/clients/fs && cp $(filter-out %fs/package.json,$^) bin/clients/ && cp itest/clients/fs/package.json bin/clients/fs/
	@cd bin/clients && if ! command -v npm >/dev/null; then echo "npm is not installed: itest skips other people's programs"; \
	elif ! npm ci --loglevel=error; then echo "npm could not install the packages: itest skips other people's programs"; fi

# The scripts in register/page/verifier/dist are committed, so that whoever has Go alone builds all.
verifier: ## bundles the page's scripts from their TypeScript sources (needs npm); commit the result
	$(GO) run ./tools/verifier

verifier-check: ## builds the page's scripts again, and compares them with what is committed
	$(GO) run ./tools/verifier -check

SEEDS ?= 10000
simulate: ## simulates 10,000 lives of the daemon (SEEDS=), then finds faults planted in its source
	$(GO) test -count=1 -timeout 24h ./batcher -run '^TestSimulation$$' -seeds=$(SEEDS)
	$(GO) test -count=1 -timeout 60m ./batcher -run '^TestSimulationFindsPlantedFaults$$' -planted -v

# FUZZTIME is a number of inputs and not a time: before Go 1.27 the end of a time may be reported as
# a finding (go.dev/issue/75804).
FUZZTIME ?= 50000x
FUZZ ?= .
fuzz: ## feeds 50,000 mutated inputs (FUZZTIME=) to each decoder of outside bytes (in FUZZ=)
	@grep -rl --include='*_test.go' '^func Fuzz' $(FUZZ) | xargs -n 1 dirname | sort -u | sed '/^\./!s|^|./|' | while read -r p; do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do echo "$$p $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1000x $$p || exit 1; done || exit 1; done

MUTATIONS ?= 200000
differential: ## reads 200,000 mutated proofs (MUTATIONS=) here, with python3-opentimestamps, in Chromium
	$(GO) test -count=1 -timeout 24h ./proof -run '^(TestTheReferenceImplementationAgrees|TestTheBrowserAgrees)$$' -mutations=$(MUTATIONS) -browser=$(MUTATIONS) -v

bench: ## measures, and writes docs/performance.md; STORE=DIR adds a large store, SHORT=1 only checks
	@SHORT="$(SHORT)" STORE="$(STORE)" $(GO) run ./tools/bench

pictures: clients ## takes the pictures of docs/pictures.md, with Chromium
	$(GO) test -count=1 -timeout 10m ./itest -run '^TestPictures$$' -pictures=$(CURDIR)/docs/pictures

fees: ## plays fee markets for the cost study, and rewrites docs/fees.md and its plots
	$(GO) run ./tools/fees

NETWORK ?= mainnet
checkpoints: ## renews the list of known blocks (NETWORK=mainnet) from this machine's ancred; commit it
	$(GO) run ./cmd/ancre --network $(NETWORK) headers checkpoints --force headers/checkpoints/$(NETWORK).txt
	$(GO) test ./headers
	git diff --stat -- headers/checkpoints

lint: ## checks format, go vet, staticcheck, comment widths, function lengths and branches
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted: run gofmt -w" $$files >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags manpages ./cmd/...
	$(GO) vet -C tools/packages ./...
	$(GO) run ./tools/lint
	$(GO) tool gocyclo -over 25 -ignore '^bin/' .
	$(GO) tool staticcheck ./...
	staticcheck=$$($(GO) tool -n staticcheck) && cd tools/packages && $$staticcheck ./...

cross: ## builds for every platform, without cgo
	@for p in $(PLATFORMS); do echo "$$p"; GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build ./... || exit 1; done

reproducible: ## builds from two clones at two paths, and compares the programs (docs/building.md)
	@bash .ci/reproducible

# The packages, into bin/packages. They are built from the present commit, by a module of its own
# (docs/building.md). SHA256SUMS there has the sums of all.
PACKAGES := $(GO) run -C tools/packages .

release: ## builds all packages: Debian, archives for the other platforms, container image
	$(PACKAGES) deb tarballs image

deb: ## builds the Debian packages, for amd64 and arm64
	$(PACKAGES) deb

tarballs: ## builds an archive for each platform
	$(PACKAGES) tarballs

image: ## builds the image for containers: an OCI layout in one file
	$(PACKAGES) image

unit-packages: ## runs the tests of what builds the packages
	cd tools/packages && $(GO) test ./...

# What install places below DESTDIR, and uninstall removes. Paths below PREFIX:
DOCUMENTS := sample.conf register.sample.conf README.md LICENSE docs/metrics.md contrib/nginx.conf contrib/Caddyfile \
	contrib/nginx-register.conf contrib/Caddyfile-register \
	contrib/prometheus/prometheus.yml contrib/prometheus/alerts.yml contrib/prometheus/register-alerts.yml contrib/grafana/ancre.json
BIN := $(DESTDIR)$(PREFIX)/bin
UNIT_FILES := ancred.service ancre-backup.service ancre-backup.timer ancre-register.service
UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system
SYSUSERS := $(DESTDIR)$(PREFIX)/lib/sysusers.d
COMMANDS := $(DESTDIR)$(PREFIX)/lib/ancre
DOC := $(DESTDIR)$(PREFIX)/share/doc/ancre
# The configuration of the service has one place, whatever PREFIX is.
CONF := $(DESTDIR)/etc/ancre/ancre.conf
REGISTER_CONF := $(DESTDIR)/etc/ancre/register.conf
PROGRAMS := ancred ancre ancre-register

install: ## installs the programs, the service and the documents under PREFIX; starts nothing
	@test -x bin/ancred -a -x bin/ancre -a -x bin/ancre-register || { echo "nothing is built yet: run make first, as yourself (root may have no Go)" >&2; exit 1; }
	install -D -m 0755 -t $(BIN) $(addprefix bin/,$(PROGRAMS))
	install -D -m 0644 -t $(UNITS) $(addprefix contrib/,$(UNIT_FILES))
	sed -i 's|/usr/local|$(PREFIX)|g' $(addprefix $(UNITS)/,$(UNIT_FILES))
	install -D -m 0644 -t $(SYSUSERS) contrib/sysusers.d/ancre.conf contrib/sysusers.d/ancre-register.conf
	install -D -m 0755 -t $(COMMANDS) contrib/notify/notify-mail contrib/notify/notify-chat
	install -D -m 0644 -t $(DOC) $(DOCUMENTS)
	@test -e $(CONF) || { set -x; install -D -m 0640 contrib/ancre.conf $(CONF); }
	@test -e $(REGISTER_CONF) || { set -x; install -D -m 0644 contrib/register.conf $(REGISTER_CONF); }
	@printf '%s\n' "" "Nothing was started. To run ancred as a service:" "" \
		"  sudo systemd-sysusers $(PREFIX)/lib/sysusers.d/ancre.conf && sudo chgrp ancre /etc/ancre/ancre.conf" \
		"  sudo systemctl daemon-reload && sudo systemctl enable --now ancred ancre-backup.timer" "" \
		"To run the register beside it, with its public page:" "" \
		"  sudo systemd-sysusers $(PREFIX)/lib/sysusers.d/ancre-register.conf && sudo systemctl enable --now ancre-register" ""

uninstall: ## removes what install placed; data and a changed configuration stay
	@if test -z "$(DESTDIR)" && systemctl is-active --quiet ancred 2>/dev/null; then \
		echo "ancred runs: stop it first, with sudo systemctl disable --now ancred" >&2; exit 1; fi
	@if test -z "$(DESTDIR)" && systemctl is-active --quiet ancre-register 2>/dev/null; then \
		echo "ancre-register runs: stop it first, with sudo systemctl disable --now ancre-register" >&2; exit 1; fi
	rm -f $(addprefix $(BIN)/,$(PROGRAMS)) $(addprefix $(UNITS)/,$(UNIT_FILES)) $(SYSUSERS)/ancre.conf $(SYSUSERS)/ancre-register.conf $(addprefix $(DOC)/,$(notdir $(DOCUMENTS))) \
		$(addprefix $(COMMANDS)/,notify-mail notify-chat)
	@for dir in $(COMMANDS) $(DOC); do test ! -d $$dir || rmdir --ignore-fail-on-non-empty $$dir; done
	@if cmp -s contrib/register.conf $(REGISTER_CONF); then (set -x; rm -f $(REGISTER_CONF)); fi
	@if cmp -s contrib/ancre.conf $(CONF); then (set -x; rm -f $(CONF)); rmdir --ignore-fail-on-non-empty $(dir $(CONF)); fi
	@for kept in "$(CONF)" "$(REGISTER_CONF)" "$(DESTDIR)/var/lib/ancre" "$(DESTDIR)/var/lib/ancre-register" "$(DESTDIR)/var/backups/ancre-register" "$(DESTDIR)/var/backups/ancre" "$(DESTDIR)/etc/credstore/ancre.passphrase"; do \
		test ! -e "$$kept" || echo "kept: $$kept"; done
	@echo "The users and the groups ancre and ancre-register stay too: data may belong to them."

clean: ## removes bin/
	rm -rf bin

help: ## prints this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 16
