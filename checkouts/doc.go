// Package checkouts is the front desk: it starts checkouts, brings them their
// payments and cancels, and asks them how they stand. It turns Temporal's
// answers and failures into the domain's, so that package api knows of HTTP
// only and package workflows of decisions only.
package checkouts
