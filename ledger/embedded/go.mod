// TigerBeetle's semantics in one Go process, behind the official client's interface. It imports nothing of the box
// office, so that others can test on it without us: README.md.
module boxoffice/ledger/embedded

go 1.26.8

require (
	github.com/tigerbeetle/tigerbeetle-go v0.17.9
	go.uber.org/goleak v1.3.0
	pgregory.net/rapid v1.3.0
)

require (
	github.com/stretchr/testify v1.12.1 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
)
