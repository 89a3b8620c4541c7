package domain_test

import (
	"testing"

	"boxoffice/domain"
)

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example": false, "127.0.0.1.example": false, "0.0.0.0": false, "::": false, "10.0.0.1": false,
		"[::1]": false, "127.0.0.1:80": false, "0x7f.1": false, "2130706433": false,
	} {
		if got := domain.IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) is %t, want %t", host, got, want)
		}
	}
}
