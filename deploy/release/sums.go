package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// checksums are the SHA-256 of files, by name.
type checksums map[string]string

// sums reads the files of a folder.
func sums(folder string) (checksums, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	all := make(checksums, len(files))
	for _, file := range files {
		if all[file.Name()], err = sumOf(filepath.Join(folder, file.Name())); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// String is what sha256sum --check reads.
func (c checksums) String() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&text, "%s  %s\n", c[name], name)
	}
	return text.String()
}

// differences are the files that are not the same in both, or in one only.
func differences(a, b checksums) (names []string) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a[name] != b[name] {
			names = append(names, name)
		}
	}
	return names
}
