// Package worker runs the workflows and activities of the box office on a task queue, and
// opens the Temporal connection that everything shares.
//
// It has the settings of the SDK, each with its reason. Package workflows has what the
// workflows do.
package worker
