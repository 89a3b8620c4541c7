package embedded

const (
	// Version is the module's own.
	Version = "1.0.0"
	// TigerBeetle is the release whose answers these are, and whose client it stands behind.
	TigerBeetle = "0.17.9"
)
