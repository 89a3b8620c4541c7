package embedded

const (
	// Version is the module's own.
	Version = "1.0.0"
	// TigerBeetle is the release that this engine behaves like, and whose client interface it has.
	TigerBeetle = "0.17.9"
)
