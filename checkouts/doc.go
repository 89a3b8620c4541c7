// Package checkouts starts checkouts, delivers payments and cancels to them, and asks for
// their state. It translates Temporal's answers and failures into the domain's, so that
// package api only deals with HTTP and package workflows only decides.
package checkouts
