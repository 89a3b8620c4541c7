//go:build !linux

package main

import "syscall"

func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// family is the process alone where there is no /proc.
func family(pid int) []int { return []int{pid} }
