# make        builds ./xmppd, the same bytes each time
# make test   what README says
# make check  what CI runs
# make docs   the generated pages: doc/config.md, doc/xeps.md, doc/hooks.md
.PHONY: build test check docs bench

build:
	CGO_ENABLED=0 go build -trimpath -o xmppd ./cmd/xmppd

test:
	go test ./...

check:
	bash .ci/run

docs:
	go generate ./modules/all

bench:
	go test -run '^$$' -bench . -benchmem ./...
