import CRavine
import CShims
import Ravine

/// The step function runs outside of every entry point: in the host's floating-point mode, free to
/// call the library.
@_cdecl("rvn_range_test") @implementation
public func rvn_range_test(
  _ opt: OpaquePointer?, _ step: rvn_range_step?, _ user: UnsafeMutableRawPointer?,
  _ options: UnsafePointer<rvn_range_options>?, _ result: UnsafeMutablePointer<rvn_range_result>?
) -> rvn_status {
  var begun: RangeTest?
  var status = with(opt) { (optimizer) throws(RavineError) in
    guard step != nil else { throw null("step") }
    guard let result else { throw null("result") }
    try check(
      result.pointee.struct_size, "rvn_range_result", least: MemoryLayout<rvn_range_result>.size)
    begun = try RangeTest.begin(optimizer, try read(options))
  }
  guard let test = begun, let step, let result else { return status }
  let memory = test.optimizer.allocator
  while status == RVN_OK, !test.isOver {
    var rate = 0.0, loss = Double.nan
    status = enter(memory) { () throws(RavineError) in rate = try test.prepareStep() }
    if status != RVN_OK { break }
    let answer = step(user, rate, &loss)
    status = enter(memory) { () throws(RavineError) in
      try test.take(answer, loss, answer == RVN_OK ? Text() : sentence())
    }
  }
  _ = enter(memory) { () throws(RavineError) in test.end() }
  if status != RVN_OK { return status }
  return enter(memory) { () throws(RavineError) in try write(test, to: result) }
}

private func read(_ options: UnsafePointer<rvn_range_options>?) throws(RavineError) -> RangeOptions
{
  var out = RangeOptions()
  guard let o = options?.pointee else { return out }
  try check(o.struct_size, "rvn_range_options", least: MemoryLayout<rvn_range_options>.size)
  try check(o.linear, "rvn_range_options.linear", flag: true)
  try check(o.reserved, "rvn_range_options.reserved")
  if o.low != 0 { out.low = o.low }
  if o.high != 0 { out.high = o.high }
  if o.steps != 0 { out.steps = o.steps }
  if o.window != 0 { out.window = o.window }
  if o.divergence != 0 { out.divergence = o.divergence }
  out.linear = o.linear == 1
  return out
}

private func sentence() -> Text {
  var out = Text()
  guard let buffer = ravine_error_buffer() else { return out }
  var i = 0
  while buffer[i] != 0 {
    out.bytes.append(UInt8(bitPattern: buffer[i]))
    i += 1
  }
  return out
}

private func write(_ test: RangeTest, to result: UnsafeMutablePointer<rvn_range_result>)
  throws(RavineError)
{
  let suggestions = try test.suggestions()
  result.pointee.rates?.update(from: test.rates, count: test.count)
  result.pointee.losses?.update(from: test.losses, count: test.count)
  result.pointee.smoothed?.update(from: test.smoothed, count: test.count)
  result.pointee.count = test.count
  result.pointee.steepest = plain(suggestions.steepest)
  result.pointee.valley = plain(suggestions.valley)
  result.pointee.minimum = plain(suggestions.minimum)
  result.pointee.diverged = test.diverged ? 1 : 0
  result.pointee.reserved = 0
}

private func plain(_ s: Suggestion) -> rvn_suggestion {
  rvn_suggestion(rate: s.rate, low: s.low, high: s.high)
}
