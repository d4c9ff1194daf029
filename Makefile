# esclusa: `make test` is the one command that says whether the tree is good.
SHELL := /bin/bash
TOOL  := go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help build bpf test unit check needs vectors test-large test-layers inflate guest lawful bpf-check fuzz bench bench-scan bench-node clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

build: ## the binary, ./esclusa
	go build -trimpath -ldflags '-s -w' -o esclusa ./cmd/esclusa

test: needs check unit ## everything that answers within ten minutes

# What tests call. Debian's package on the right; as root it is installed.
# (gencat stands for the headers of the C library: gcc alone builds nothing.)
NEEDS := rpm:rpm rpmbuild:rpm db5.3_load:db5.3-util sqlite3:sqlite3 debian-distro-info:distro-info mmdebstrap:mmdebstrap \
  runc:runc busybox:busybox-static podman:podman skopeo:skopeo buildah:buildah containerd:containerd dockerd:docker.io npm:npm python3:python3 gcc:gcc gencat:libc6-dev bsdtar:libarchive-tools

needs: ## what the tests call, installed as root and named otherwise
	@missing=; for n in $(NEEDS); do command -v $${n%%:*} >/dev/null || [ -e $${n%%:*} ] || missing="$$missing $${n##*:}"; done; \
	missing=$$(printf '%s\n' $$missing | sort -u | xargs); [ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing:$$missing"; export DEBIAN_FRONTEND=noninteractive; \
	  (apt-get install -y -qq --no-install-recommends $$missing >/dev/null 2>&1) || \
	  (apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null) || \
	  echo "could not install$$missing: the tests that need them skip, and are listed"; \
	else echo "absent:$$missing (the tests that need them skip; hint: apt-get install$$missing)"; fi

check: ## format, vet, staticcheck, dead code
	@out=$$($(TOOL) gofumpt -l $$(git ls-files '*.go' ':!*/zz_*')); [ -z "$$out" ] || { echo "not formatted (gofumpt -w):"; echo "$$out"; exit 1; }
	go vet ./...
	$(TOOL) staticcheck ./...
	@out=$$($(TOOL) deadcode -test ./...); [ -z "$$out" ] || { echo "dead code:"; echo "$$out"; exit 1; }

# gotestsum, because go test keeps silent about what a passing package
# skipped: a skip that could hide a break must be seen.
unit:
	@rc=0; $(TOOL) gotestsum --format pkgname-and-test-fails --format-hide-empty-pkg --jsonfile test.out -- -timeout 9m ./... || rc=$$?; \
	go run ./internal/truth/tables test.out; exit $$rc

vectors: ## the tests against independent truth, with their tables
	$(TOOL) gotestsum --format testname -- -run 'Vectors' ./...

test-large: ## the memory that an image of 3,000,000 files takes
	go test -count=1 -run TestLargeImage -v ./internal/scan/realimage

test-layers: ## tar headers of the layers that bench-scan builds, against archive/tar
	go run ./internal/benchscan -build
	go test -count=1 -run TestLayers -v ./internal/tarwalk -layers "$${XDG_CACHE_HOME:-$$HOME/.cache}/esclusa-bench"

# -short leaves out some sizes of streams. tarwalk has one form only.
inflate: NEEDS := qemu-aarch64:qemu-user gcc:gcc gencat:libc6-dev
inflate: needs ## inflate in both its forms: -race, -d=checkptr, and as arm64 under qemu
	@set -e; for form in "-tags= ./internal/inflate ./internal/tarwalk" "-tags=inflate_unsafe ./internal/inflate"; do \
	  for how in "go vet" "go test -race" "go test -gcflags=-d=checkptr" \
	    "env GOARCH=arm64 CGO_ENABLED=0 go vet" "env GOARCH=arm64 CGO_ENABLED=0 go test -exec=qemu-aarch64"; do \
	    case $$how in *test*) how="$$how -short -timeout=9m";; esac; echo "$$how $$form"; $$how $$form; done; done

guest: NEEDS := qemu-system-x86_64:qemu-system-x86 mke2fs:e2fsprogs runc:runc busybox:busybox-static iptables-legacy:iptables sysctl:procps
guest: needs ## the tests that need BPF as a security module, in a virtual machine
	go run ./internal/kerneltest/guest $(GUEST)

# Packages whose tests run there, all of them: a skip there is a failure.
GUEST ?= ./internal/shield/...

lawful: NEEDS := runc:runc busybox:busybox-static iptables-legacy:iptables sysctl:procps nginx:nginx-light node:nodejs python3:python3 \
  psql:postgresql setpriv:util-linux
lawful: needs ## lawful work under all guards: a build, a database, services, overlays
	go test -count=1 -timeout 15m -run TestLawful -v ./internal/shield/prove -lawful

FUZZTIME ?= 60s
# (Minimising a find takes up to 60 s by default, and with them all of the time.)
fuzz: ## every fuzz target, $(FUZZTIME) each
	@for f in $$(grep -rlE '^func Fuzz' --include=*_test.go .); do for n in $$(grep -oE '^func Fuzz[A-Za-z0-9_]*' $$f | cut -c6-); do \
	  echo "== $$(dirname $$f) $$n"; go test -run='^$$' -fuzz="^$$n$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x ./$$(dirname $$f) || exit 1; done; done

bench: ## the benchmarks beside the code
	go test -run='^$$' -bench=. -benchmem ./...

bench-scan: ## esclusa and its peers on one image: CPU and memory, with ratios
	go run ./internal/benchscan

bench-node: NEEDS := gcc:gcc gencat:libc6-dev
bench-node: needs ## the sensor: what it costs those that it watches, and itself (as root)
	go run ./internal/benchnode

clean: ## what was built
	rm -f esclusa test.out

BPF := $(sort $(shell git ls-files '*.bpf.c' 2>/dev/null))
bpf: ## the kernel programs, compiled anew (clang, llvm-strip, libbpf-dev)
	@for f in $(BPF); do d=$$(dirname $$f); n=$$(basename $$f .bpf.c); echo "bpf $$n"; \
	  (cd $$d && GOPACKAGE=$$n go tool -modfile=$(CURDIR)/tools/go.mod bpf2go -cc clang -strip llvm-strip -target amd64,arm64 $$(grep -oE "^ESC_RECORD\(\w+\)" $$n.bpf.c | sed -E "s/.*\((.*)\)/-type \1/") \
	    -output-stem zz_$$n -cflags "-O2 -g -Wall -Werror -ffile-prefix-map=$(CURDIR)=. -I$(CURDIR)/internal/kernel/bpf" $$n $$n.bpf.c -- >/dev/null) || exit 1; done

bpf-check: NEEDS := clang:clang llvm-strip:llvm /usr/include/bpf/bpf_helpers.h:libbpf-dev
bpf-check: needs bpf ## the programs that are committed are those that their sources make
	@git diff --exit-code --stat -- '*zz_*' || { echo "the compiled programs are not those of the sources (make bpf, then commit)"; exit 1; }
