// Package scan tests the script scan beside it.
package scan
