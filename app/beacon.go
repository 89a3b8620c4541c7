package app

import (
	"fmt"
	"io"
	"os"
	"strings"

	"boxoffice/beacon"
)

// chainFileBytesMax is more than any chain's info has.
const chainFileBytesMax = 64 << 10

// readBeacon returns the source of public randomness for draws; nil: none.
func readBeacon() (*beacon.Client, error) {
	servers, file := env("BOXOFFICE_BEACON_URL", ""), env("BOXOFFICE_BEACON_CHAIN", "")
	if servers == "" {
		return nil, nil
	}
	chain := beacon.Quicknet()
	if file != "" {
		var err error
		if chain, err = readChain(file); err != nil {
			return nil, fmt.Errorf("BOXOFFICE_BEACON_CHAIN: %w", err)
		}
	}
	client, err := beacon.NewClient(chain, strings.Split(servers, ","))
	if err != nil {
		return nil, fmt.Errorf("BOXOFFICE_BEACON_URL: %w", err)
	}
	return client, nil
}

// readChain reads a file with a drand server's answer to /{chain}/info.
func readChain(path string) (beacon.Chain, error) {
	data, err := readBounded(path, chainFileBytesMax)
	if err != nil {
		return beacon.Chain{}, err
	}
	return beacon.ParseChain(data)
}

// readBounded reads a file, or standard input if the name is "-".
func readBounded(path string, bytesMax int64) ([]byte, error) {
	file := os.Stdin
	if path != "-" {
		var err error
		if file, err = os.Open(path); err != nil {
			return nil, err
		}
		defer file.Close()
	}
	data, err := io.ReadAll(io.LimitReader(file, bytesMax+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case int64(len(data)) > bytesMax:
		return nil, fmt.Errorf("%s has more than %d bytes", path, bytesMax)
	}
	return data, nil
}
