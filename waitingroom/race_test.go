//go:build race

package waitingroom

func init() { raceDetector = true }
