import CRavine
import CShims
import Kernels

extension Optimizer {
  /// The scalars of the stages before the rule.
  func makeStageConstants(_ plan: Plan) {
    plan.setFactors()
    for g in 0..<plan.groups.count {
      let group = plan.groupWork + g
      for k in 0..<plan.before where plan.stageWork[k].transforms {
        let stage = plan.stageWork[k]
        for wide in 0..<2 where group.pointee.uses(wide) {
          plan.catalog.stage(stage.row)[wide].constants(
            group.pointee.hyper(of: stage), 0, Double(step + 1),
            group.pointee.stageConstants + (2 * k + wide) * RAVINE_MAX_CONSTANTS)
        }
      }
    }
  }

  /// Those of the rules and the stages behind them: once for a group, and for a run of its tensors that
  /// count other steps.
  func makeConstants(_ plan: Plan, _ buffers: Buffers) {
    for g in 0..<plan.groups.count { plan.groupWork[g].t = 0 }
    var last: UnsafeMutablePointer<Tensor>?
    let all = buffers.work.pointee.tensors
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      let tensor = all + i, group = plan.groupWork + tensor.pointee.group
      if group.pointee.measures > 0 || group.pointee.matrix || plan.settles {
        tensor.pointee.constants = ownConstants(of: tensor, group, plan)
        continue
      }
      if group.pointee.t == 0 { makeConstants(of: group, tensor.pointee.t + 1, plan) }
      if group.pointee.t == tensor.pointee.t + 1 {
        tensor.pointee.constants =
          group.pointee.ruleConstants + tensor.pointee.wide * plan.constantsSize
      } else if let last, last.pointee.counts(as: tensor.pointee) {
        tensor.pointee.constants = last.pointee.constants
      } else {
        tensor.pointee.constants = ownConstants(of: tensor, group, plan)
        last = tensor
      }
    }
  }

  private func makeConstants(of group: UnsafeMutablePointer<GroupWork>, _ t: UInt64, _ plan: Plan) {
    group.pointee.t = t
    for wide in 0..<2 where group.pointee.uses(wide) {
      makeConstants(
        of: group, wide, t, plan, group.pointee.ruleConstants + wide * plan.constantsSize)
    }
  }

  /// The scalars of a group's rule and of the stages behind it, at a step of a tensor.
  private func makeConstants(
    of group: UnsafeMutablePointer<GroupWork>, _ wide: Int, _ t: UInt64, _ plan: Plan,
    _ out: UnsafeMutableRawPointer
  ) {
    let hyper = group.pointee.hyper
    let entry = plan.catalog.rule(group.pointee.rule)
    entry[wide].constants(hyper, Double(t), out)
    if let shared = entry.shared, let scalars {
      shared.begin[wide](out, scalars.of(rule: group.pointee.rule))
    }
    var out = out
    for k in plan.before..<plan.stageCount {
      let stage = plan.stageWork[k]
      out += RAVINE_MAX_CONSTANTS
      // Every rule's first parameter is its rate.
      plan.catalog.stage(stage.row)[wide].constants(
        group.pointee.hyper(of: stage), hyper[0], Double(t), out)
    }
  }

  private func ownConstants(
    of tensor: UnsafeMutablePointer<Tensor>, _ group: UnsafeMutablePointer<GroupWork>, _ plan: Plan
  ) -> UnsafeMutableRawPointer {
    let own = tensor.pointee.ownConstants.unsafelyUnwrapped
    makeConstants(of: group, tensor.pointee.wide, tensor.pointee.t + 1, plan, own)
    if group.pointee.matrix { plan.shape(tensor.pointee, own) }
    if let factors = plan.catalog.rule(group.pointee.rule).factors {
      factors.shape[tensor.pointee.wide](
        own, Double(tensor.pointee.count), tensor.pointee.isFactorable)
    }
    return own
  }
}
