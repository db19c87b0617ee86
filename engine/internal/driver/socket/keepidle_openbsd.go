package socket

const keepIdle = 0
