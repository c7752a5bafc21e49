import CRavine
import CShims
import Kernels

/// Everything in the caller's thread, whose floating-point mode is in order.
func runAlone(_ work: UnsafePointer<Work>) {
  let scratch = Scratch(work, 0)
  for task in 0..<work.pointee.taskCount { run(work, work.pointee.tasks[task], scratch) }
}

/// A worker: takes tasks until there are none.
func runWorker(_ work: UnsafeMutablePointer<Work>, _ worker: Int) {
  let mode = ravine_default_mode()
  let scratch = Scratch(UnsafePointer(work), worker)
  while true {
    let task = ravine_next(&work.pointee.next)
    if task >= work.pointee.taskCount { break }
    run(UnsafePointer(work), work.pointee.tasks[task], scratch)
  }
  ravine_restore_mode(mode)
  _ = ravine_next(&work.pointee.finished)
}

@_optimize(speed)
private func run(_ work: UnsafePointer<Work>, _ task: TaskWork, _ scratch: Scratch) {
  var index = task.tensor, first = task.first, rest = task.blocks
  while rest > 0 {
    let tensor = work.pointee.tensors + index
    if index + 2 < work.pointee.tensorCount { prefetch(tensor + 2, work) }
    let blocks = min(rest, tensor.pointee.blocks - first)
    if blocks > 0, tensor.pointee.grad != nil || moves(tensor, work) {
      if let rows = work.pointee.rows {
        rows.pointee.run(tensor, first, blocks, work, scratch)
      } else {
        Piece(work: work, tensor: tensor, scratch: scratch).run(first, blocks)
      }
    }
    rest -= blocks
    first = 0
    index += 1
  }
}

/// Whether a tensor without a gradient takes part all the same.
private func moves(_ tensor: UnsafePointer<Tensor>, _ work: UnsafePointer<Work>) -> Bool {
  let kind = work.pointee.phase.kind
  guard kind == .perturb || kind == .restore else { return false }
  return !tensor.pointee.removed && work.pointee.groups[tensor.pointee.group].rule >= 0
}

/// Asks for the beginning of a tensor's arrays: what the hardware sees too late where tensors are small.
@inline(__always)
private func prefetch(_ tensor: UnsafePointer<Tensor>, _ work: UnsafePointer<Work>) {
  guard let grad = tensor.pointee.grad else { return }  // a frozen tensor has no slots either
  let bytes = min(tensor.pointee.count * tensor.pointee.lane, 256)
  let kind = work.pointee.phase.kind
  let gradientOnly =
    kind == .count || kind == .look || (kind == .measure && !work.pointee.phase.ruleMeasures)
  prefetch(grad, bytes)
  if gradientOnly { return }
  if let data = tensor.pointee.data { prefetch(data, bytes) }
  for k in 0..<work.pointee.groups[tensor.pointee.group].lanes {
    if let array = tensor.pointee.slots.unsafelyUnwrapped[k] { prefetch(array, bytes) }
  }
}

/// Asks for so many bytes of an array, which a monitor does, too.
@inline(__always)
func prefetch(_ array: UnsafeRawPointer, _ bytes: Int) {
  var at = 0
  while at < bytes {
    ravine_prefetch(array + at)
    at += 64
  }
}
