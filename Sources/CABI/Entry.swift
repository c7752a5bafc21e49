import CRavine
import CShims
import Ravine

/// Runs the body of an entry point: floating-point mode and memory are in order, and a failure
/// becomes a status and a sentence. Out of line: every entry point calls it.
@inline(never)
func enter(_ allocator: ravine_allocator?, _ body: () throws(RavineError) -> Void) -> rvn_status {
  var scope = ravine_scope()
  if var allocator { ravine_enter(&scope, &allocator) } else { ravine_enter(&scope, nil) }
  var status = RVN_OK
  do throws(RavineError) { try body() } catch {
    status = error.status
    say(error.message)
  }
  ravine_leave(&scope)
  return status
}

/// An entry point in two parts: what reads the caller's options, and what works with the memory that
/// they name.
func enter(
  reading: (inout Options) throws(RavineError) -> Void,
  _ body: (Options) throws(RavineError) -> Void
) -> rvn_status {
  var options = Options()
  let status = enter(nil) { () throws(RavineError) in try reading(&options) }
  if status != RVN_OK { return status }
  return enter(options.allocator) { () throws(RavineError) in try body(options) }
}

/// Puts a sentence into this thread's buffer, cut at a whole character if it is too long.
private func say(_ message: Text) {
  let buffer = ravine_error_buffer().unsafelyUnwrapped
  let room = Int(RAVINE_ERROR_SIZE) - 1
  var n = min(message.bytes.count, room)
  while n < message.bytes.count, n > 0, message.bytes[n] & 0xc0 == 0x80 { n -= 1 }
  for i in 0..<n { buffer[i] = CChar(bitPattern: message.bytes[i]) }
  buffer[n] = 0
}

func null(_ what: StaticText) -> RavineError { RavineError(RVN_ERR_ARGUMENT, "\(what) is NULL") }

/// Bytes of a C string, at most one more than a recipe may have: what is longer is refused by
/// whoever reads it.
func bytes(_ text: UnsafePointer<CChar>?, _ what: StaticText) throws(RavineError) -> [UInt8] {
  guard let text else { throw null(what) }
  let raw = UnsafeRawPointer(text).assumingMemoryBound(to: UInt8.self)
  return [UInt8](UnsafeBufferPointer(start: raw, count: strnlen(text, Limits.text + 1)))
}

/// A field that must be 0, or 0 or 1, until it means something.
func check(_ value: Int32, _ name: StaticText, flag: Bool = false) throws(RavineError) {
  if value != 0, !(flag && value == 1) {
    throw RavineError(
      RVN_ERR_ARGUMENT, "\(name) is \(value), but must be \(flag ? "0 or 1" as Text : "0")")
  }
}

/// Text out, as the header describes under rvn_optimizer_recipe.
func deliver(
  _ text: Text, _ buffer: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?
) throws(RavineError) {
  let failed: RavineError? = text.bytes.withUnsafeBufferPointer {
    do throws(RavineError) { try deliver($0.baseAddress, $0.count, buffer, cap, needed) } catch {
      return error
    }
    return nil
  }
  if let failed { throw failed }
}

func deliver(
  _ document: Document, _ buffer: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?, cutting: Bool = false
) throws(RavineError) {
  try deliver(document.start, document.count, buffer, cap, needed, cutting: cutting)
}

private func deliver(
  _ text: UnsafePointer<UInt8>?, _ n: Int, _ buffer: UnsafeMutablePointer<CChar>?, _ cap: Int,
  _ needed: UnsafeMutablePointer<Int>?, cutting: Bool = false
) throws(RavineError) {
  try checkMemory()
  needed?.pointee = n + 1
  let cap = cap < 0 ? Int.max : cap  // a size_t beyond what Int holds
  guard cap > 0 else { return }
  guard let buffer else { throw null("buf") }
  let room = min(n, cap - 1)
  for i in 0..<room { buffer[i] = CChar(bitPattern: text.unsafelyUnwrapped[i]) }
  buffer[room] = 0
  if room < n, !cutting {
    throw RavineError(RVN_ERR_ARGUMENT, "the text needs \(n + 1) bytes, but cap is \(cap)")
  }
}

/// Checks the size that a caller writes first in a struct. A caller built with an older header has
/// a smaller one, with a newer header a larger one.
func check(_ size: Int, _ name: StaticText, least: Int) throws(RavineError) {
  if size < least || size > 4096 {
    throw RavineError(
      RVN_ERR_ARGUMENT,
      "\(name).struct_size is \(size); set it to sizeof(\(name)), which is \(least) or more")
  }
}
