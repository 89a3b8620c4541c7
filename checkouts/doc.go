// Package checkouts starts checkouts, delivers payments and cancels to them, and
// asks for their state. It turns Temporal's answers and failures into the
// domain's, so that package api deals with HTTP only and package workflows with
// decisions only.
package checkouts
