import CRavine
import CShims

/// Independent items of work for several threads. The order does not show in results.
private struct Loop {
  let body: (_ context: UnsafeMutableRawPointer, _ item: Int, _ worker: Int) -> Void
  let context: UnsafeMutableRawPointer
  let items: Int
  var next = 0, finished = 0
}

/// Calls body(context, item, worker) once for each item, on the host's threads or on those of the
/// pool; workers are 0 to threads - 1, each on one thread at a time. A body that captures nothing
/// allocates nothing.
func forEach(
  _ items: Int, threads: Int, _ options: Options, _ context: UnsafeMutableRawPointer,
  _ body: @escaping (_ context: UnsafeMutableRawPointer, _ item: Int, _ worker: Int) -> Void
) throws(RavineError) {
  let threads = min(threads, items)
  if threads <= 1 {
    for item in 0..<items { body(context, item, 0) }
    return
  }
  var loop = Loop(body: body, context: context, items: items)
  let entry: rvn_body = { loop, worker in
    work(loop.unsafelyUnwrapped.assumingMemoryBound(to: Loop.self), worker)
  }
  withUnsafeMutablePointer(to: &loop) {
    if let host = options.parallelFor {
      host(options.parallelUser, threads, entry, $0)
    } else {
      ravine_parallel(threads, entry, $0)
    }
  }
  if loop.finished < threads {
    throw RavineError(
      RVN_ERR_CALLBACK, "the host's parallel_for returned before all its bodies had run")
  }
}

/// In a struct, where a pointer to it needs no wrapping that is allocated.
private struct Body {
  let call: (_ item: Int, _ worker: Int) -> Void
}

/// The same for a body that captures what it needs.
func forEach(
  _ items: Int, threads: Int, _ options: Options,
  _ body: @escaping (_ item: Int, _ worker: Int) -> Void
) throws(RavineError) {
  try checkMemory()
  var box = Body(call: body)
  try withUnsafeMutablePointer(to: &box) { (box) throws(RavineError) in
    try forEach(items, threads: threads, options, box) { context, item, worker in
      context.assumingMemoryBound(to: Body.self).pointee.call(item, worker)
    }
  }
}

private func work(_ loop: UnsafeMutablePointer<Loop>, _ worker: Int) {
  let mode = ravine_default_mode()
  while true {
    let item = ravine_next(&loop.pointee.next)
    if item >= loop.pointee.items { break }
    loop.pointee.body(loop.pointee.context, item, worker)
  }
  ravine_restore_mode(mode)
  _ = ravine_next(&loop.pointee.finished)
}
