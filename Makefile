# `make` alone lists the commands. They need Go, as go.mod names it, and a C compiler.

DATA   ?= .data
LEDGER ?= auto
FLAGS  ?=
# Not empty: an Apache Kafka, which needs a Java runtime.
KAFKA  ?=
# Not empty: a Prometheus with the alerts, where one is on PATH.
METRICS ?=
# Not empty: a Jaeger, and every checkout is traced.
TRACES ?=
# Of the fault tests: a seed to repeat a run (0: a new one), and how long faults are begun (0: each once).
SEED    ?= 0
SECONDS ?= 0
# Of make pgpipe-faults.
ROUNDS  ?= 200
# make bench: a stack of its own, so that its sales are in nobody's way.
BENCH_DATA ?= .data-bench
# make bench-variants: which, how often each, and the load.
VARIANTS       ?= lean plain-start regular-activities signal one-unit-a-request one-order-a-commit sdk-pollers no-cache gzip stock-persistence stock-servers ordinary
VARIANT_ROUNDS ?= 3
VARIANT_FLAGS  ?= --concurrency 64 --rate 10 --runs 1 --duration 10s

# What storefront/browsertest looks for.
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable chrome headless-shell

DEVSTACK      := bin/devstack
# The crowd, the bench, the baseline ledger and the variants.
LAB           := bin/lab
GOLANGCI_LINT := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
STATICCHECK   := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
WORKFLOWCHECK := go run go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0
# Runs tests, shows them by package, and keeps what each run said for the table at the end.
TESTED        := bin/tested
GOTEST        = go run gotest.tools/gotestsum@v1.13.0 --format pkgname --format-hide-empty-pkg --hide-summary skipped --jsonfile $(abspath $(TESTED))/$(1).json --
# Pinned like the linters. What it does where its data cannot be reached: deploy/vulncheck.
GOVULNCHECK_VERSION := v1.9.0
# The same for what the image consists of: deploy/scan.
OSV_SCANNER   := github.com/google/osv-scanner/v2/cmd/osv-scanner@v2.2.2
VULNCHECK     := deploy/vulncheck/vulncheck "$(CURDIR)/bin/govulncheck"
NFPM          := go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.41.3
# The OpenAPI document is checked by the first everywhere, by the others where there is Node.
OPENAPI_VALIDATE := go run github.com/getkin/kin-openapi/cmd/validate@v0.153.0
SPECTRAL      := @stoplight/spectral-cli@6.16.3
REDOCLY       := @redocly/cli@2.77.0
# Everything is built as the go.mod of its own module says, with the folders of this checkout for each other: what make
# tests is what a checkout without go.work would build. go.work is for editors, and for `go test ./any/folder` from here.
export GOWORK := off
# The one list of modules. The local stack's needs no C: always the same, or all of Temporal is compiled twice. And not
# devstack-servers: linting it means analysing all of Temporal, for 400 lines that only call it. Nor the same in pgpipe, and
# deploy/packages has only tests, which go vet reads: staticcheck would analyse all of Kubernetes' types and of Helm.
# deploy/packages is not in go.work: Helm would choose the versions of what others use too. What it reads is outside it, so Go's
# cache of tests does not know when that changes.
MODULES       := $(shell awk '/^\t/ { print $$1 }' go.work) ./deploy/packages
EACH_MODULE   := set -e; for module in $(MODULES); do fresh=; \
	case $$module in ./deploy/devstack) cgo=0 race= packages=". ./internal/..." ;; ./deploy/pgpipe) cgo=0 race= packages=. ;; ./deploy/packages) cgo=0 race= packages=. fresh=-count=1 ;; *) cgo=1 race=-race packages=./... ;; esac; \
	case $$module in .) name=product ;; *) name=$$(basename $$module) ;; esac; \
	echo "-- $$name"; ( cd $$module; export CGO_ENABLED=$$cgo;
END_EACH      := ); done
NESTED        := CGO_ENABLED=0
# Points a tool at the running stack.
WITH_STACK    := test -f $(DATA)/dev.env || { echo "no stack has run in $(DATA) yet; start one with: make run"; exit 1; }; \
                 set -a; . "$(abspath $(DATA))/dev.env"; set +a;

# Starts an empty stack of the bench's own, with the programs of a folder where one is named, and points what follows at it.
ON_FRESH_STACK = $(DEVSTACK) clean --data $(BENCH_DATA) --yes || exit 1; \
	mkdir -p bench-results; echo "starting a stack in $(BENCH_DATA), its output is in bench-results/stack.log"; \
	$(BENCH_UP) $(1:%=--bin-dir %) >bench-results/stack.log 2>&1 & stack=$$!; \
	trap '$(DEVSTACK) stop --data $(BENCH_DATA) >/dev/null' EXIT; trap 'exit 130' INT TERM; \
	until grep -q '^  "state": "ready"' $(BENCH_DATA)/stack.json 2>/dev/null && grep -q "^  \"pid\": $$stack," $(BENCH_DATA)/stack.json; do \
	  kill -0 $$stack 2>/dev/null || { cat bench-results/stack.log; exit 1; }; sleep 1; \
	done; \
	set -a; . "$(abspath $(BENCH_DATA))/dev.env"; set +a;
BENCH_UP = $(DEVSTACK) up --data $(BENCH_DATA) --ledger $(LEDGER) --free-ports --no-mail $(BENCH_STACK_FLAGS)

.DEFAULT_GOAL := help
.PHONY: help run trace stop events demo abuse verify check lint test openapi-lint pictures vulncheck scan chaos chaos-sabotage drill replicas keys forms upgrade rolling fuzz pgpipe-faults bench bench-compare bench-variants bench-recovery bench-nodes bench-ledger schema-before statements build dist release deb image histories clean $(DEVSTACK) $(LAB)

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: $(DEVSTACK) ## start everything, serve until Ctrl-C (LEDGER=auto|tigerbeetle|embedded|postgres, KAFKA=1, METRICS=1, TRACES=1, FLAGS=--race)
	@exec $(DEVSTACK) up --data $(DATA) --ledger $(LEDGER) $(if $(KAFKA),--kafka) $(if $(METRICS),--metrics) $(if $(TRACES),--traces) $(FLAGS)

trace: $(DEVSTACK) ## show the trace of an order, after make run TRACES=1 (ORDER=…)
	@exec $(DEVSTACK) trace --data $(DATA) $(ORDER)

stop: $(DEVSTACK) ## stop the stack that runs in another terminal
	@$(DEVSTACK) stop --data $(DATA)

events: $(DEVSTACK) ## show the events that the running stack's Kafka gets, until Ctrl-C (FLAGS="--topic boxoffice.sales")
	@exec $(DEVSTACK) events --data $(DATA) $(FLAGS)

demo: $(LAB) ## send more buyers than seats to the running stack, then verify
	@$(WITH_STACK) exec $(LAB) demo $(FLAGS)

abuse: $(LAB) ## send bots to the running stack, two minutes: what its limits leave them, then verify
	@$(WITH_STACK) exec $(LAB) abuse $(FLAGS)

verify: ## check every invariant of the running stack
	@$(WITH_STACK) exec $(DATA)/bin/boxoffice verify $(FLAGS)

check: ## before each commit, in two minutes: format, linters, unit tests and replays; nothing is started
	@$(MAKE) --no-print-directory lint
	@mkdir -p $(TESTED)
	@echo "== unit tests and replays; make test has the rest"
	@$(EACH_MODULE) $(call GOTEST,short-$$name) $$fresh -short $$packages $(END_EACH)

lint: ## format and linters (make check has them too)
	@echo "== format and linters"
	@$(EACH_MODULE) if [ $$cgo = 1 ]; then $(GOLANGCI_LINT) run $$packages; else go vet $$packages; [ $$name = packages ] || $(STATICCHECK) $$packages; fi $(END_EACH)
	@$(WORKFLOWCHECK) -config workflowcheck.config.yaml ./workflows/... ./notify/webhooks/...

test: $(DEVSTACK) ## everything that must pass before a change is merged; nothing needs to be running
	@echo "== compiling the local stack (the first time this takes minutes)"
	cd deploy/devstack && $(NESTED) go build -o ../../bin/devstack-servers ./devstack-servers
	@rm -rf $(TESTED) && mkdir -p $(TESTED)
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory openapi-lint
	@$(MAKE) --no-print-directory vulncheck
	@test -n "$$BOXOFFICE_TEST_BROWSER" || for name in $(BROWSERS); do command -v $$name && break; done >/dev/null || \
	  echo "skipped: no Chromium on PATH ($(BROWSERS)), so the pages are not tried in a browser; BOXOFFICE_TEST_BROWSER can name one"
	@echo "== tests"
	@$(EACH_MODULE) $(call GOTEST,$$name) $$race $$fresh -timeout 40m $$packages $(END_EACH)
	@echo "== Temporal on pgpipe, each fault once; make pgpipe-faults has 200"
	cd deploy/pgpipe && CGO_ENABLED=0 $(call GOTEST,pgpipe-faults) -timeout 10m ./faults
	@echo "== the waiting room's door once more, without the race detector, under the crowds of large engines"
	$(call GOTEST,door) -run TestTheTableOfTheDoor ./waitingroom
	@echo "== the database once more, in the order of bytes; above it orders text as people do, where Postgres knows ICU"
	BOXOFFICE_TEST_COLLATION=C $(call GOTEST,orders-in-bytes) -race ./orders
	@echo "== faults: a minute of them; make chaos has all"
	cd lab && go build -buildvcs=false -o ../bin/chaos ./chaos && ../bin/chaos run -repo .. -short -seconds 60 -seed $(or $(filter-out 0,$(SEED)),1)
	@echo "== what ran on what"
	@go run ./deploy/testtable $(TESTED)/*.json
	@# Said again where it is seen.
	@$(VULNCHECK) . -version | grep "NOT CHECKED" || true

openapi-lint: ## the OpenAPI document, with Spectral and Redocly where there is Node
	@echo "== the OpenAPI document"
	@mkdir -p bin && go run ./cmd/boxoffice openapi >bin/openapi.json
	$(OPENAPI_VALIDATE) bin/openapi.json
	@export SCARF_ANALYTICS=false REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true; \
	if npx --yes $(SPECTRAL) --version >/dev/null 2>&1 && npx --yes $(REDOCLY) --version >/dev/null 2>&1; then \
	  npx --yes $(SPECTRAL) lint --fail-severity warn --ruleset deploy/openapi/spectral.yaml bin/openapi.json && \
	  npx --yes $(REDOCLY) lint --config deploy/openapi/redocly.yaml bin/openapi.json; \
	else echo "skipped: no Node, or no npm registry, so Spectral and Redocly do not read the OpenAPI document"; fi

pictures: ## take the screenshots of the docs again, which needs a Chromium (docs/images)
	BOXOFFICE_DOCS_PICTURES="$(CURDIR)/docs/images" go test -count=1 -run TestPicturesOfTheDocs ./storefront/browsertest

vulncheck: ## known vulnerabilities in what is called (GOVULNDB=file:///a/copy, VULNCHECK_REQUIRED=1)
	@echo "== known vulnerabilities in what is called"
	@GOBIN="$(CURDIR)/bin" go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	@$(EACH_MODULE) cd "$(CURDIR)"; $(VULNCHECK) $$module $$packages $(END_EACH)

scan: ## known vulnerabilities in the modules and packages of the image that make image built (SCANDB=/a/copy, SCAN_REQUIRED=1)
	@ls bin/image/sbom.*.cdx.json >/dev/null || { echo "no image here yet: make image builds one"; exit 1; }
	@GOBIN="$(CURDIR)/bin" go install $(OSV_SCANNER)
	@deploy/scan/scan bin/osv-scanner bin/image/sbom.*.cdx.json

chaos: $(DEVSTACK) ## real processes under load, every fault, then the audit (SEED=, SECONDS=, LEDGER=, KAFKA=1, FLAGS=-short)
	cd lab && go build -buildvcs=false -o ../bin/chaos ./chaos && ../bin/chaos run -repo .. -ledger $(LEDGER) -seed $(SEED) -seconds $(SECONDS) $(if $(KAFKA),-kafka) $(FLAGS)

chaos-sabotage: $(DEVSTACK) ## the same proof on builds with a deliberate bug each: all must be caught (FLAGS="-only name")
	cd lab && go build -buildvcs=false -o ../bin/chaos ./chaos && ../bin/chaos sabotage -repo .. -ledger embedded -seed $(SEED) $(FLAGS)

drill: $(DEVSTACK) ## Temporal's database, the orders' and the ledger are lost in the midst of a sale, put back, repaired, verified (SEED=, LEDGER=, FLAGS='-only "ledger" -backup basebackup')
	cd lab && go build -buildvcs=false -o ../bin/chaos ./chaos && ../bin/chaos drill -repo .. -ledger $(LEDGER) -seed $(SEED) $(FLAGS)

FROM ?=
upgrade: $(DEVSTACK) ## from the last release to this tree and back under load, with versions of workers, then the audit (FROM=, LEDGER=, SEED=)
	cd lab && go build -buildvcs=false -o ../bin/chaos ./chaos && ../bin/chaos upgrade -repo .. -ledger $(LEDGER) -seed $(SEED) $(if $(FROM),-from $(FROM)) $(FLAGS)

rolling: $(DEVSTACK) ## three nodes restart one by one under load, then the audit: what clients had to repeat (LEDGER=, SEED=)
	cd lab && go build -buildvcs=false -o ../bin/chaos ./chaos && ../bin/chaos rolling -repo .. -ledger $(LEDGER) -seed $(SEED) $(FLAGS)

replicas: $(DEVSTACK) ## three replicas of a real TigerBeetle under load: killed, paused, damaged and recovered, restarted in turn; what buyers notice (SEED=, FLAGS='-only "primary"')
	cd lab && go build -buildvcs=false -o ../bin/chaos ./chaos && ../bin/chaos replicas -repo .. -seed $(SEED) $(FLAGS)

keys: ## payload keys, webhook secrets and signing secrets are changed node by node while people buy, some minutes
	cd lab && go test -count=1 ./e2e -run TestKeysChangeUnderLoad -keys -v -timeout 15m

forms: $(DEVSTACK) ## each form of deployment that this machine can run sells tickets, is stopped in the midst of them, and is verified, some minutes (ONLY=nginx)
	cd lab && go test -count=1 ./e2e -run 'TestFormsOfDeployment$(if $(ONLY),/$(ONLY))' -forms -v -timeout 40m

FUZZTIME ?= 1m
fuzz: ## fuzz every parser of outside bytes, FUZZTIME=1m each: for nights; what is found stays in testdata/fuzz
	@failed=; for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			echo "== $$target of $$(dirname $$file)"; \
			(cd $$(dirname $$file) && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .) || failed="$$failed $$target"; \
		done; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed. The input is in testdata/fuzz of the package: mend the parser and commit it"; exit 1; fi

pgpipe-faults: ## Temporal on pgpipe under kill -9, a full disk and an owner that wakes up, then the record, some 15 minutes (SEED=, ROUNDS=)
	cd deploy/pgpipe && CGO_ENABLED=0 PGPIPE_FAULT_ROUNDS=$(ROUNDS) PGPIPE_FAULT_SEED=$(SEED) go test -count=1 -v -timeout 40m ./faults

bench: $(DEVSTACK) $(LAB) ## measure a fresh stack, some 10 minutes (LEDGER=…, FLAGS=…; RUNNING=1: the running stack)
ifdef RUNNING
	@$(WITH_STACK) exec $(LAB) bench $(FLAGS)
else
	@$(call ON_FRESH_STACK,$(BENCH_BIN)) \
	$(LAB) bench $(FLAGS)
endif

bench-compare: $(LAB) ## what result B is to result A (A=….json B=….json)
	@$(LAB) bench compare "$(A)" "$(B)"

bench-variants: $(DEVSTACK) ## what each step of the fast way gains: every slower variant on a fresh stack of its own, some 20 minutes
	@# The lab's program is the product with its variants: here it takes the product's place.
	go build -buildvcs=false -o bin/variants/ ./cmd/mockpay
	cd lab && for name in boxoffice lab; do go build -buildvcs=false -o ../bin/variants/$$name ./cmd/lab; done
	@rm -rf bench-results/variants
	@for round in $$(seq $(VARIANT_ROUNDS)); do for variant in $(VARIANTS); do \
	  echo "== $$variant, round $$round of $(VARIANT_ROUNDS)"; \
	  case $$variant in stock-servers|ordinary) up=--stock-servers ;; stock-persistence) up=--stock-persistence ;; *) up= ;; esac; \
	  BOXOFFICE_BENCH_VARIANT=$$variant $(MAKE) --no-print-directory bench BENCH_BIN="$(CURDIR)/bin/variants" BENCH_STACK_FLAGS=$$up \
	    FLAGS="--phases journey --out bench-results/variants $(VARIANT_FLAGS) $(FLAGS)" || exit 1; \
	done; done
	@echo; bin/variants/lab bench variants bench-results/variants/*.json

bench-recovery: $(DEVSTACK) $(LAB) build ## kill -9 of a whole stack with 1,000 to 10,000 open checkouts, and what becomes of them, some 20 minutes (LEDGER=…, FLAGS=…)
	@$(call ON_FRESH_STACK,$(CURDIR)/bin) $(LAB) bench recovery $(FLAGS) $(BENCH_UP) --bin-dir $(CURDIR)/bin

bench-nodes: ## what a second process of the box office on one stack gains, one and two in turn, some 3 minutes (LEDGER=tigerbeetle|postgres)
	@$(MAKE) --no-print-directory bench LEDGER=$(if $(filter auto,$(LEDGER)),tigerbeetle,$(LEDGER)) \
	  FLAGS="--nodes 1,2 --phases journey --concurrency 64 --rate 20 --runs 3 --duration 8s $(FLAGS)"

bench-ledger: ## holds and posts on the embedded ledger and, where there is one, on a real TigerBeetle
	cd ledger/embedded && go test -run '^$$' -bench . -benchtime 1x -timeout 20m .
	go test -run '^$$' -bench HoldAndPost -timeout 20m ./ledger

schema-before: ## the tests of the release before, its own code, on the schema of this one, two minutes (BEFORE=commit)
	@deploy/release/schema-before

dist: ## what a release consists of, for this machine's architecture, in dist/ (VERSION=1.2.3)
	@VERSION="$(VERSION)" OUT="$(OUT)" deploy/release/build

release: ## a release up to publishing: checks, changelog, programs, packages, images, checksums, tag (VERSION=1.2.3, FLAGS=--dry-run)
	@cd deploy/release && go build -buildvcs=false -o ../../bin/release . && cd ../.. && bin/release $(FLAGS) $(VERSION)

statements: ## write down the statements of this release, which the next one's schema must still plan: make release does it
	go test -count=1 ./orders -statements "$(CURDIR)/orders/testdata/statements.json"

build: ## compile the programs into bin/
	go build -buildvcs=false -ldflags "-X boxoffice/app.builtFrom=$$(git rev-parse HEAD 2>/dev/null)" -o bin/ ./cmd/...

deb: ## a Debian package of the programs and their units, in bin/ (VERSION=)
	@command -v dpkg-deb >/dev/null || { echo "dpkg-deb is not on PATH: make deb works on Debian and its relatives"; exit 1; }
	@mkdir -p bin/deb
	go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X boxoffice/app.builtFrom=$$(git rev-parse HEAD) -X boxoffice/app.builtVersion=$(or $(RELEASE),$(VERSION))" \
	  -o bin/deb/ ./cmd/boxoffice ./cmd/mockpay
	DEB_BIN=bin/deb DEB_ARCH=$$(dpkg --print-architecture) DEB_VERSION="$(or $(VERSION),0~devel)" SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
	  $(NFPM) package --config deploy/systemd/nfpm.yaml --packager deb --target bin/
	@dpkg-deb --contents "bin/boxoffice_$(or $(VERSION),0~devel)_$$(dpkg --print-architecture).deb"

image: ## OCI images of the programs from Debian's packages, in bin/image (VERSION=); needs buildah
	@command -v buildah >/dev/null || { echo "buildah is not on PATH"; exit 1; }
	@deploy/image/build

histories: ## capture the workflow histories that the replay tests run on
	cd lab && go test -count=1 ./e2e -run 'Test(BoxOffice|CancelSale)/embedded' -timeout 15m -v -capture "$(CURDIR)/workflows/testdata/histories"
	go test -count=1 ./workflows -run 'TestAPaymentInTheTaskThatCloses|TestLateHistories|TestADeclineInTheHistory' -histories "$(CURDIR)/workflows/testdata/histories"

clean: $(DEVSTACK) ## remove the data directory, with every sale in it (FLAGS=--yes does not ask)
	@$(DEVSTACK) clean --data $(DATA) $(FLAGS)

# Always asked: go build knows better than make what is up to date.
$(DEVSTACK):
	@command -v go >/dev/null || { echo "the go command is not on PATH; install the Go release that go.mod names"; exit 1; }
	@test -x $@ || echo "compiling the local stack"
	@cd deploy/devstack && $(NESTED) go build -buildvcs=false -o ../../$@ .

$(LAB):
	@cd lab && go build -buildvcs=false -o ../$@ ./cmd/lab
