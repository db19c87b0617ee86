package engine_test

import "syscall"

const errNotExist = syscall.ENOENT
