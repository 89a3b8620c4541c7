// Package worker runs the workflows and activities of the box office on a task
// queue, and opens the connection to Temporal that everything shares.
//
// It holds the settings of the SDK, each with its reason; what the workflows do
// is in package workflows.
package worker
